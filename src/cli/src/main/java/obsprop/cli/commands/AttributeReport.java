package obsprop.cli.commands;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import obsprop.analysis.attribution.Attribution;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table.Column;
import obsprop.cli.output.Table;
import obsprop.cli.output.Visible;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsWriter;

/**
 * What {@code attribute} found.
 *
 * @param texts the prompt's tokens
 * @param position of the token whose logits the observable reads
 */
record AttributeReport(String model, ResolvedObservable observable, List<String> texts, int position, Attribution parts)
        implements Report {
    private static final int LARGEST = 20;

    /** A head reading a token up to the position. */
    private record Part(int layer, int head, int token, double value) {
    }

    private List<Part> heads() {
        List<Part> heads = new ArrayList<>();
        for (int l = 0; l < parts.heads().length; l++) {
            for (int h = 0; h < parts.heads()[l].length; h++) {
                for (int j = 0; j <= position; j++) {
                    heads.add(new Part(l, h, j, parts.heads()[l][h][j]));
                }
            }
        }
        return heads;
    }

    @Override
    public JsonNode json() {
        ObjectNode document = Json.object().put("model", model).put("position", position);
        document.set("observable", ObservableView.json(observable));
        document.set("prompt", Json.array(texts, TextNode::valueOf));
        document.set("heads", Json.array(heads(), part -> Json.object().put("layer", part.layer).put("head", part.head)
                .put("token", part.token).put("value", part.value)));
        ArrayNode mlps = document.putArray("mlps");
        for (int l = 0; l < parts.mlps().length; l++) {
            mlps.addObject().put("layer", l).put("value", parts.mlps()[l]);
        }
        return document.put("embedding", parts.embedding()).put("constant", parts.constant()).put("total", parts.total());
    }

    @Override
    public String text() {
        Table summed = new Table(Column.text("part"), Column.number("value"));
        for (int l = 0; l < parts.mlps().length; l++) {
            summed.row("attn" + l, Numbers.fixed(sum(parts.heads()[l])));
            summed.row("mlp" + l, Numbers.fixed(parts.mlps()[l]));
        }
        summed.row("embedding", Numbers.fixed(parts.embedding())).row("constant", Numbers.fixed(parts.constant()))
                .row("total", Numbers.fixed(parts.total()));
        Table largest = new Table(Column.text("head"), Column.text("reading"), Column.number("value"));
        heads().stream().sorted(Comparator.comparingDouble((Part part) -> -Math.abs(part.value))).limit(LARGEST)
                .forEach(part -> largest.row("L" + part.layer + "H" + part.head,
                        part.token + " \"" + texts.get(part.token) + "\"", Numbers.fixed(part.value)));
        return ObservableView.text(List.of(observable)) + "\nat token " + position + ", \"" + Visible.of(texts.get(position))
                + "\", of " + texts.size() + "\n" + summed + "\nlargest contributions of heads\n" + largest;
    }

    private static double sum(double[][] heads) {
        return IntStream.range(0, heads.length).mapToDouble(h -> IntStream.range(0, heads[h].length)
                .mapToDouble(j -> heads[h][j]).sum()).sum();
    }

    /** Writes {@code heads} [L,H,T], {@code mlps} [L], {@code embedding}, {@code constant} and {@code total} [1]. */
    void write(Path file) {
        try (Arena arena = Arena.ofConfined()) {
            double[][][] heads = parts.heads();
            Tensor all = Tensor.allocate(arena, DType.F32, heads.length, heads[0].length, heads[0][0].length);
            for (Part part : heads()) {
                all.set(part.value, part.layer, part.head, part.token);
            }
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            tensors.put("heads", all);
            tensors.put("mlps", vector(arena, parts.mlps()));
            tensors.put("embedding", vector(arena, parts.embedding()));
            tensors.put("constant", vector(arena, parts.constant()));
            tensors.put("total", vector(arena, parts.total()));
            SafetensorsWriter.write(file, tensors, new TreeMap<>(Map.of("model", model, "observable", observable.name(),
                    "rule", "direct", "position", Integer.toString(position))));
        }
    }

    private static Tensor vector(Arena arena, double... values) {
        Tensor tensor = Tensor.allocate(arena, DType.F32, values.length);
        for (int i = 0; i < values.length; i++) {
            tensor.set(values[i], i);
        }
        return tensor;
    }
}
