package obsprop.cli.commands;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table.Column;
import obsprop.cli.output.Table;
import obsprop.cli.output.Visible;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.tensor.io.SafetensorsWriter.Entry;

/**
 * What {@code trace} found, beside its tensors.
 *
 * @param position of the token whose logits the observables read
 * @param values of the observables there
 */
record TraceReport(
        String model, String rule, List<Integer> ids, List<String> texts, int position,
        List<ResolvedObservable> observables, double[] values, Optional<Path> out, List<Entry> tensors)
        implements Report {
    /** What the file says about itself. */
    Map<String, String> metadata() {
        return new TreeMap<>(Map.of("model", model, "rule", rule, "position", Integer.toString(position),
                "observable", observables.stream().map(ResolvedObservable::name).collect(Collectors.joining("; ")),
                "token_ids", ids.stream().map(String::valueOf).collect(Collectors.joining(","))));
    }

    @Override
    public JsonNode json() {
        ObjectNode document = Json.object().put("model", model).put("rule", rule).put("position", position);
        ArrayNode prompt = document.putArray("prompt");
        for (int t = 0; t < ids.size(); t++) {
            prompt.addObject().put("id", ids.get(t)).put("text", texts.get(t));
        }
        ArrayNode list = document.putArray("observables");
        for (int k = 0; k < observables.size(); k++) {
            list.add(ObservableView.json(observables.get(k)).put("value", values[k]));
        }
        out.ifPresent(file -> {
            document.put("out", file.toString());
            ObjectNode shapes = document.putObject("tensors");
            tensors.forEach(tensor -> tensor.shape().forEach(shapes.withArray("/" + tensor.name())::add));
        });
        return document;
    }

    @Override
    public String text() {
        StringBuilder text = new StringBuilder(ObservableView.text(observables)).append("\n");
        Table values = new Table(Column.text("observable"), Column.number("value"));
        for (int k = 0; k < observables.size(); k++) {
            values.row(observables.get(k).name(), Numbers.fixed(this.values[k]));
        }
        text.append("at token ").append(position).append(", \"").append(Visible.of(texts.get(position))).append("\", of ")
                .append(ids.size()).append("\n").append(values);
        out.ifPresent(file -> text.append("\n").append(file).append(" (rule: ").append(rule).append(")\n").append(shapes()));
        return text.toString();
    }

    private Table shapes() {
        Table shapes = new Table(Column.text("tensor"), Column.text("shape"));
        tensors.forEach(tensor -> shapes.row(tensor.name(), tensor.shape().toString()));
        return shapes;
    }
}
