package obsprop.cli.commands.measure;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import obsprop.analysis.probes.ProbeComparison;
import obsprop.analysis.probes.ProbeComparison.Judgement;
import obsprop.cli.commands.Numbers;
import obsprop.cli.options.NamedVector;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table;
import obsprop.cli.output.Table.Column;
import obsprop.cli.output.Visible;

/** What {@code probe} found. */
record ProbeReport(String model, String positive, List<String> negative, String pool, List<Probed> probes) implements Report {
    /** A vector beside its baselines. */
    record Probed(NamedVector vector, ProbeComparison comparison) {
    }

    @Override
    public JsonNode json() {
        ObjectNode document = Json.object().put("model", model).put("positive", positive).put("pool", pool);
        negative.forEach(document.putArray("negative")::add);
        document.set("probes", Json.array(probes, ProbeReport::json));
        return document;
    }

    private static ObjectNode json(Probed probed) {
        ProbeComparison c = probed.comparison;
        ObjectNode object = Json.object();
        object.set("vector", json(c.vector()).setAll(VectorView.json(probed.vector)));
        object.set("logistic_regression", json(c.logisticRegression()));
        object.set("difference_of_means", json(c.differenceOfMeans()));
        return object.put("trained", c.trained()).put("test_positive", c.positives()).put("test_negative", c.negatives());
    }

    private static ObjectNode json(Judgement judgement) {
        ObjectNode object = Json.object().put("auc", judgement.auc());
        VectorView.putInterval(object, "interval", judgement.interval());
        object.put("cosine", judgement.cosine());
        judgement.positive().forEach(object.putArray("positive_scores")::add);
        judgement.negative().forEach(object.putArray("negative_scores")::add);
        return object;
    }

    @Override
    public String text() {
        StringBuilder text = new StringBuilder(
                Visible.of(positive + " against " + String.join(", ", negative)) + ", texts pooled by " + pool + "\n");
        for (Probed probed : probes) {
            ProbeComparison c = probed.comparison;
            Table table = new Table(Column.text("probe"), Column.number("AUC"), Column.text("95 % interval"),
                    Column.number("cosine with the vector"));
            row(table, probed.vector.name(), c.vector());
            row(table, "logistic regression", c.logisticRegression());
            row(table, "difference of means", c.differenceOfMeans());
            text.append("\nat ").append(probed.vector.site()).append(", ").append(c.trained()).append(" examples to train, ")
                    .append(c.positives()).append(" + ").append(c.negatives()).append(" to test\n").append(table);
        }
        return text.toString();
    }

    private static void row(Table table, String name, Judgement judgement) {
        table.row(name, Numbers.fixed(judgement.auc()), Numbers.fixed(judgement.interval().low()) + " to "
                + Numbers.fixed(judgement.interval().high()), Numbers.fixed(judgement.cosine()));
    }
}
