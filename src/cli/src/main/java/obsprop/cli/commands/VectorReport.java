package obsprop.cli.commands;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import obsprop.cli.options.Choice;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table;
import obsprop.cli.output.Table.Column;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.propagation.FeatureVector;
import obsprop.propagation.Provenance;
import obsprop.propagation.path.MlpFinding;

/**
 * A feature vector.
 *
 * @param score {@code y . x} at the clean prompt, where there is one
 * @param mlps where each MLP was linearised
 */
record VectorReport(
        ResolvedObservable observable, FeatureVector feature, Optional<Double> score, List<MlpFinding> mlps,
        Optional<VectorError> error, Optional<Path> out)
        implements Report {
    @Override
    public JsonNode json() {
        Provenance from = feature.provenance();
        ObjectNode document = Json.object().put("model", from.model());
        document.set("observable", ObservableView.json(observable));
        document.put("path", from.path());
        document.putObject("site").put("text", feature.site().toString()).put("layer", feature.site().layer())
                .put("point", Choice.label(feature.site().point())).put("position", feature.site().position());
        document.putObject("rules").put("norm", from.norm()).put("pattern", from.pattern()).put("point", from.point());
        document.put("norm", feature.norm());
        score.ifPresent(value -> document.put("score", value));
        document.set("mlps", Json.array(mlps, VectorReport::json));
        error.ifPresent(found -> {
            ObjectNode node = document.putObject("self_error").put("activation_norm", found.activationNorm());
            found.alongPath().ifPresent(part -> node.set("along_path", json(part)));
            node.set("total", json(found.total()));
        });
        out.ifPresent(file -> document.put("out", file.toString()));
        var values = document.putArray("feature");
        for (double value : feature.direction()) {
            values.add((float) value);
        }
        return document;
    }

    private static ObjectNode json(MlpFinding mlp) {
        ObjectNode node = Json.object().put("step", mlp.step().toString()).put("outcome", Choice.label(mlp.outcome()))
                .put("value", mlp.value()).put("distance", mlp.distance()).put("text", mlp.toString());
        return Double.isNaN(mlp.lambda()) ? node : node.put("lambda", mlp.lambda());
    }

    private static ObjectNode json(VectorError.Part part) {
        ObjectNode node = Json.object().put("share", part.largest().share()).put("largest_step", part.largest().step())
                .put("reach", Choice.label(part.largest().reach()));
        node.set("steps", Json.array(part.steps(), step -> Json.object().put("length", step.length())
                .put("predicted", step.predicted()).put("forward", step.forward()).put("backward", step.backward())
                .put("error", step.error())));
        return node;
    }

    @Override
    public String text() {
        Provenance from = feature.provenance();
        StringBuilder text = new StringBuilder(ObservableView.text(List.of(observable))).append("\n");
        text.append("path     ").append(from.path()).append("\nsite     ").append(feature.site());
        text.append("\nrules    norm ").append(from.norm()).append(", pattern ").append(from.pattern());
        text.append("\n||y||    ").append(Numbers.fixed(feature.norm())).append("\n");
        score.ifPresent(value -> text.append("y . x    ").append(Numbers.fixed(value)).append(" on the clean prompt\n"));
        mlps.forEach(mlp -> text.append(mlp).append("\n"));
        error.ifPresent(found -> {
            found.alongPath().ifPresent(part -> describe("along the path alone", part, text));
            describe("through the whole rest of the model", found.total(), text);
        });
        out.ifPresent(file -> text.append("\n").append(file).append("\n"));
        return text.toString();
    }

    private static void describe(String what, VectorError.Part part, StringBuilder text) {
        Table table = new Table(Column.number("step"), Column.number("predicted"), Column.number("forward"),
                Column.number("backward"), Column.number("error"));
        part.steps().forEach(step -> table.row(Numbers.fixed(step.length()), Numbers.fixed(step.predicted()),
                Numbers.fixed(step.forward()), Numbers.fixed(step.backward()), percent(step.error())));
        String share = percent(part.largest().share());
        text.append("\nsteps along y, ").append(what).append("\n").append(table);
        text.append(switch (part.largest().reach()) {
            case FOUND -> "the error stays under " + share + " up to a step of " + Numbers.fixed(part.largest().step());
            case NOWHERE -> "the error is above " + share + " however short the step";
            case UNRESOLVED -> "the error is above " + share + " for every step whose effect is more than rounding";
            case EVERYWHERE -> "the error stays under " + share + " up to the longest step tried, "
                    + Numbers.fixed(part.largest().step());
        }).append("\n");
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, "%.1f %%", 100 * share);
    }
}
