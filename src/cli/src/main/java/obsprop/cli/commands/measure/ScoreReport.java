package obsprop.cli.commands.measure;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Collectors;
import obsprop.analysis.scores.ScoreState;
import obsprop.analysis.scores.ScoredToken;
import obsprop.analysis.scores.VectorScores;
import obsprop.analysis.statistics.Histogram;
import obsprop.cli.commands.Numbers;
import obsprop.cli.options.NamedVector;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table;
import obsprop.cli.output.Table.Column;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.Context;
import obsprop.cli.tokens.Vocabulary;

/** What {@code score} found. */
record ScoreReport(String model, long windows, long tokens, List<Scored> vectors) implements Report {
    /** Bars of the histogram that is drawn. */
    private static final int BARS = 16;
    private static final int LONGEST_BAR = 50;

    /** A vector, what its scores are like, and its extremes in words. */
    private record Scored(NamedVector vector, VectorScores scores, List<Shown> top, List<Shown> bottom) {
    }

    /** A token in words. */
    private record Shown(ScoredToken token, String text, Context context) {
        static Shown of(ScoredToken token, Vocabulary vocabulary) {
            return new Shown(token, vocabulary.text(token.token()), Context.of(token.context(), token.at(), vocabulary));
        }
    }

    static ScoreReport of(Session session, List<NamedVector> vectors, ScoreState state) {
        List<Scored> scored = new ArrayList<>();
        for (int v = 0; v < vectors.size(); v++) {
            VectorScores scores = state.vectors().get(v);
            scored.add(new Scored(vectors.get(v), scores,
                    scores.top().stream().map(t -> Shown.of(t, session.vocabulary())).toList(),
                    scores.bottom().stream().map(t -> Shown.of(t, session.vocabulary())).toList()));
        }
        return new ScoreReport(session.name(), state.windows(), state.tokens(), scored);
    }

    @Override
    public JsonNode json() {
        ObjectNode document = Json.object().put("model", model).put("windows", windows).put("tokens", tokens);
        document.set("vectors", Json.array(vectors, ScoreReport::json));
        document.set("top", all(Scored::top));
        document.set("bottom", all(Scored::bottom));
        return document;
    }

    private static ObjectNode json(Scored scored) {
        VectorScores scores = scored.scores;
        ObjectNode object = VectorView.json(scored.vector).put("count", scores.count()).put("not_finite", scores.notFinite());
        object.put("mean", scores.mean());
        object.put("deviation", scores.deviation());
        object.set("histogram", Json.array(scores.histogram().bins(), bin ->
                Json.object().put("low", bin.low()).put("high", bin.high()).put("count", bin.count())));
        object.set("top", Json.array(scored.top, shown -> json(scored, shown)));
        object.set("bottom", Json.array(scored.bottom, shown -> json(scored, shown)));
        return object;
    }

    private ArrayNode all(Function<Scored, List<Shown>> end) {
        return Json.array(vectors.stream().flatMap(v -> end.apply(v).stream().map(shown -> json(v, shown))).toList(), node -> node);
    }

    private static ObjectNode json(Scored scored, Shown shown) {
        return Json.object().put("vector", scored.vector.name()).put("score", shown.token.score())
                .put("token", shown.token.token()).put("text", shown.text).put("document", shown.token.document())
                .put("position", shown.token.position()).put("context", shown.context.text());
    }

    @Override
    public String text() {
        StringBuilder text = new StringBuilder(tokens + " tokens in " + windows + " windows\n");
        for (Scored scored : vectors) {
            text.append("\n").append(scored.vector.name()).append(" at ").append(scored.vector.site()).append(": mean ")
                    .append(Numbers.fixed(scored.scores.mean())).append(", standard deviation ")
                    .append(Numbers.fixed(scored.scores.deviation())).append("\n").append(histogram(scored.scores.histogram()))
                    .append("highest\n").append(table(scored.top)).append("lowest\n").append(table(scored.bottom));
        }
        return text.toString();
    }

    private static Table table(List<Shown> tokens) {
        Table table = new Table(Column.number("score"), Column.text("token"), Column.number("document"),
                Column.number("position"), Column.text("context"));
        tokens.forEach(shown -> table.row(Numbers.fixed(shown.token.score()), shown.text,
                Long.toString(shown.token.document()), Integer.toString(shown.token.position()), shown.context.marked()));
        return table;
    }

    /** Bins, neighbours taken together so that there are few, with bars. */
    private static String histogram(Histogram histogram) {
        List<Histogram.Bin> bins = histogram.bins();
        int together = Math.max(1, (bins.size() + BARS - 1) / BARS);
        List<Histogram.Bin> merged = new ArrayList<>();
        for (int i = 0; i < bins.size(); i += together) {
            List<Histogram.Bin> some = bins.subList(i, Math.min(bins.size(), i + together));
            merged.add(new Histogram.Bin(some.getFirst().low(), some.getLast().high(),
                    some.stream().mapToLong(Histogram.Bin::count).sum()));
        }
        long most = merged.stream().mapToLong(Histogram.Bin::count).max().orElse(1);
        Table table = new Table(Column.number("from"), Column.number("to"), Column.number("tokens"), Column.text(""));
        merged.forEach(bin -> table.row(Numbers.fixed(bin.low()), Numbers.fixed(bin.high()), Long.toString(bin.count()),
                "#".repeat((int) Math.ceil((double) LONGEST_BAR * bin.count() / most))));
        return table.toString();
    }
}
