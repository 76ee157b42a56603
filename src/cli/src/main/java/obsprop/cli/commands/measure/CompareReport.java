package obsprop.cli.commands.measure;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Optional;
import obsprop.analysis.coupling.Coupling;
import obsprop.analysis.scores.PairScores;
import obsprop.analysis.statistics.Interval;
import obsprop.analysis.statistics.Moments;
import obsprop.cli.commands.Numbers;
import obsprop.cli.options.NamedVector;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table;
import obsprop.cli.output.Table.Column;

/** What {@code compare} found. */
record CompareReport(String model, List<NamedVector> vectors, List<Related> pairs, Optional<Long> tokens) implements Report {
    private static final double LEVEL = 0.95;

    /** Two vectors: what one says about the other, by prediction and, with texts, by measurement. */
    record Related(NamedVector from, NamedVector to, Coupling coupling, Optional<Coupling.Prediction> prediction,
            Optional<PairScores> measured) {
    }

    @Override
    public JsonNode json() {
        ObjectNode document = Json.object().put("model", model);
        tokens.ifPresent(count -> document.put("tokens", count));
        document.set("vectors", Json.array(vectors, VectorView::json));
        document.set("pairs", Json.array(pairs, CompareReport::json));
        return document;
    }

    private static ObjectNode json(Related pair) {
        ObjectNode object = Json.object().put("from", pair.from.name()).put("to", pair.to.name())
                .put("cosine", pair.coupling.cosine()).put("coupling", pair.coupling.coefficient())
                .put("predicted_r2", pair.coupling.predictedR2());
        pair.prediction.ifPresent(prediction -> object.putObject("prediction").put("mean", prediction.mean())
                .put("low", prediction.low()).put("high", prediction.high()).put("spread", prediction.spread()));
        pair.measured.ifPresent(measured -> {
            Moments.Line line = measured.line();
            PairScores.Intervals intervals = measured.intervals(LEVEL);
            object.put("slope", line.slope());
            object.put("intercept", line.intercept());
            object.put("r2", line.r2());
            VectorView.putInterval(object, "slope_interval", intervals.slope());
            VectorView.putInterval(object, "intercept_interval", intervals.intercept());
            VectorView.putInterval(object, "r2_interval", intervals.r2());
        });
        return object;
    }

    @Override
    public String text() {
        Table table = new Table(Column.text("from"), Column.text("to"), Column.number("cosine"), Column.number("coupling"),
                Column.number("predicted r2"));
        pairs.forEach(pair -> table.row(pair.from.name(), pair.to.name(), Numbers.fixed(pair.coupling.cosine()),
                Numbers.fixed(pair.coupling.coefficient()), Numbers.fixed(pair.coupling.predictedR2())));
        return table + predictions() + tokens.map(count -> "\nmeasured over " + count + " tokens, 95 % intervals of a bootstrap"
                + " over windows\n" + measurements()).orElse("");
    }

    private String predictions() {
        if (pairs.stream().allMatch(pair -> pair.prediction.isEmpty())) {
            return "";
        }
        Table table = new Table(Column.text("from"), Column.text("to"), Column.number("mean"), Column.number("spread"),
                Column.number("least"), Column.number("most"));
        pairs.forEach(pair -> pair.prediction.ifPresent(p -> table.row(pair.from.name(), pair.to.name(), Numbers.fixed(p.mean()),
                Numbers.fixed(p.spread()), Numbers.fixed(p.low()), Numbers.fixed(p.high()))));
        return "\npredicted at the given score\n" + table;
    }

    private Table measurements() {
        Table table = new Table(Column.text("from"), Column.text("to"), Column.number("slope"), Column.text("interval"),
                Column.number("intercept"), Column.text("interval"), Column.number("r2"), Column.text("interval"));
        pairs.forEach(pair -> pair.measured.ifPresent(measured -> {
            Moments.Line line = measured.line();
            PairScores.Intervals intervals = measured.intervals(LEVEL);
            table.row(pair.from.name(), pair.to.name(), Numbers.fixed(line.slope()), text(intervals.slope()),
                    Numbers.fixed(line.intercept()), text(intervals.intercept()), Numbers.fixed(line.r2()), text(intervals.r2()));
        }));
        return table;
    }

    private static String text(Interval interval) {
        return Numbers.fixed(interval.low()) + " to " + Numbers.fixed(interval.high());
    }
}
