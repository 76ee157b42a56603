package obsprop.cli.commands.measure;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import obsprop.analysis.statistics.Vectors;
import obsprop.analysis.steering.Distribution;
import obsprop.analysis.steering.Edit;
import obsprop.analysis.steering.Steering;
import obsprop.cli.commands.Numbers;
import obsprop.cli.commands.ObservableView;
import obsprop.cli.options.NamedVector;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table;
import obsprop.cli.output.Table.Column;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.Prompt;
import obsprop.cli.tokens.ResolvedObservable;

/** What {@code steer} found. */
record SteerReport(
        String model, NamedVector vector, List<Edited> edited, Steering.Outcome outcome, List<ResolvedObservable> observables,
        List<Expected> before, List<Expected> after) implements Report {
    /** A token whose residual stream was edited, and {@code y . x} there before and after. */
    private record Edited(int position, String text, Edit edit, double scoreBefore, double scoreAfter) {
    }

    /** A token that the model expects next. */
    private record Expected(Distribution.Candidate candidate, String text) {
        ObjectNode json() {
            return Json.object().put("token", candidate.token()).put("text", text)
                    .put("probability", candidate.probability()).put("logit", candidate.logit());
        }
    }

    static SteerReport of(Session session, NamedVector vector, Prompt prompt, Map<Integer, Edit> edits, double[] scores,
            Steering.Outcome outcome, List<ResolvedObservable> observables, int k) {
        double square = Vectors.dot(vector.direction(), vector.direction());
        List<String> texts = prompt.texts(session.vocabulary());
        List<Edited> edited = edits.entrySet().stream().map(e -> new Edited(e.getKey(), texts.get(e.getKey()), e.getValue(),
                scores[e.getKey()], e.getValue().newScore(scores[e.getKey()], square))).toList();
        return new SteerReport(session.name(), vector, edited, outcome, observables,
                expected(outcome.before(), session, k), expected(outcome.after(), session, k));
    }

    private static List<Expected> expected(Distribution distribution, Session session, int k) {
        return distribution.top(k).stream().map(c -> new Expected(c, session.vocabulary().text(c.token()))).toList();
    }

    @Override
    public JsonNode json() {
        ObjectNode document = Json.object().put("model", model);
        document.set("vector", VectorView.json(vector));
        document.set("edits", Json.array(edited, e -> Json.object().put("position", e.position).put("text", e.text)
                .put("edit", name(e.edit)).put("score_before", e.scoreBefore).put("score_after", e.scoreAfter)));
        ArrayNode list = document.putArray("observables");
        for (ResolvedObservable observable : observables) {
            list.add(ObservableView.json(observable).put("before", outcome.before(observable.forEngine()))
                    .put("after", outcome.after(observable.forEngine())));
        }
        document.put("kl", outcome.divergence());
        document.set("before", Json.array(before, Expected::json));
        document.set("after", Json.array(after, Expected::json));
        return document;
    }

    private static String name(Edit edit) {
        return switch (edit) {
            case Edit.Add _ -> "add";
            case Edit.Set _ -> "set";
            case Edit.ProjectOut _ -> "project-out";
            case Edit.Pairwise _ -> "pairwise";
        };
    }

    @Override
    public String text() {
        StringBuilder text = new StringBuilder(vector.name() + " at " + vector.site() + "\n");
        Table edits = new Table(Column.text("edit"), Column.number("position"), Column.text("token"), Column.number("score before"),
                Column.number("after"));
        edited.forEach(e -> edits.row(name(e.edit), Integer.toString(e.position), '"' + e.text + '"',
                Numbers.fixed(e.scoreBefore), Numbers.fixed(e.scoreAfter)));
        text.append(edits);
        if (!observables.isEmpty()) {
            Table values = new Table(Column.text("observable"), Column.number("before"), Column.number("after"));
            observables.forEach(o -> values.row(o.name(), Numbers.fixed(outcome.before(o.forEngine())),
                    Numbers.fixed(outcome.after(o.forEngine()))));
            text.append("\n").append(values);
        }
        text.append("\nKL(clean || steered) of the next token: ").append(Numbers.fixed(outcome.divergence())).append(" nats\n\n");
        Table tokens = new Table(Column.text("before"), Column.number("probability"), Column.text("after"),
                Column.number("probability"));
        for (int i = 0; i < before.size(); i++) {
            tokens.row('"' + before.get(i).text + '"', Numbers.fixed(before.get(i).candidate.probability()),
                    '"' + after.get(i).text + '"', Numbers.fixed(after.get(i).candidate.probability()));
        }
        return text.append(tokens).toString();
    }
}
