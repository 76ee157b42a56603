package obsprop.cli.commands.measure;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import obsprop.analysis.norms.NormErrors;
import obsprop.analysis.norms.NormInput;
import obsprop.cli.commands.Numbers;
import obsprop.cli.commands.ObservableView;
import obsprop.cli.options.Choice;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table;
import obsprop.cli.output.Table.Column;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.kernel.NormRule;

/** What {@code norms} found. */
record NormsReport(String model, List<String> groups, List<NormInput> norms, List<Errors> errors, double angleBound)
        implements Report {
    /** The rules' errors for one observable. */
    record Errors(ResolvedObservable observable, Map<NormRule, NormErrors.RuleErrors> rules) {
    }

    @Override
    public JsonNode json() {
        ObjectNode document = Json.object().put("model", model);
        groups.forEach(document.putArray("groups")::add);
        document.set("norms", Json.array(norms, NormsReport::json));
        document.set("errors", Json.array(errors, this::json));
        return document.put("angle_bound", angleBound);
    }

    private static ObjectNode json(NormInput norm) {
        ObjectNode object = Json.object().put("layer", norm.layer()).put("site", Choice.label(norm.site()))
                .put("mean_length", norm.meanLength());
        object.put("length_deviation", norm.lengthDeviation());
        object.putObject("gain").put("mean", norm.gain().mean()).put("deviation", norm.gain().deviation())
                .put("least", norm.gain().least()).put("most", norm.gain().most());
        return object;
    }

    private ObjectNode json(Errors errors) {
        ObjectNode object = ObservableView.json(errors.observable);
        ArrayNode rules = object.putArray("rules");
        errors.rules.forEach((rule, e) -> {
            ObjectNode node = rules.addObject().put("rule", Choice.label(rule)).put("own_error", e.ownError());
            node.put("cosine", e.cosine());
            node.put("angle", e.angle());
            ArrayNode cross = node.putArray("cross");
            for (int from = 0; from < groups.size(); from++) {
                for (int to = 0; to < groups.size(); to++) {
                    ObjectNode cell = cross.addObject().put("from", groups.get(from)).put("to", groups.get(to));
                    cell.put("error", e.crossError()[from][to]);
                }
            }
        });
        return object;
    }

    @Override
    public String text() {
        Table table = new Table(Column.text("layer"), Column.text("norm"), Column.number("mean ||x||"), Column.number("deviation"),
                Column.number("mean gain"), Column.number("deviation"), Column.number("least"), Column.number("most"));
        norms.forEach(n -> table.row(Integer.toString(n.layer()), Choice.label(n.site()), Numbers.fixed(n.meanLength()),
                Numbers.fixed(n.lengthDeviation()), Numbers.fixed(n.gain().mean()), Numbers.fixed(n.gain().deviation()),
                Numbers.fixed(n.gain().least()), Numbers.fixed(n.gain().most())));
        StringBuilder text = new StringBuilder(table.toString());
        errors.forEach(e -> text.append("\n").append(e.observable.name()).append(": mean absolute errors in logits, of the final norm's"
                + " approximations\n").append(rules(e)));
        return text.append("\nbound on the mean angle under the exact rule: ").append(Numbers.fixed(angleBound))
                .append(" radians\n").toString();
    }

    private Table rules(Errors errors) {
        Table table = new Table(Column.text("rule"), Column.text("from"), Column.text("to"), Column.number("error"),
                Column.number("own error"), Column.number("cosine with exact"), Column.number("angle with gain * y"));
        errors.rules.forEach((rule, e) -> {
            for (int from = 0; from < groups.size(); from++) {
                for (int to = 0; to < groups.size(); to++) {
                    table.row(Choice.label(rule), groups.get(from), groups.get(to), Numbers.fixed(e.crossError()[from][to]),
                            Numbers.fixed(e.ownError()), Numbers.fixed(e.cosine()), Numbers.fixed(e.angle()));
                }
            }
        });
        return table;
    }
}
