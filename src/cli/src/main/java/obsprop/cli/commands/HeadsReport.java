package obsprop.cli.commands;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.IntStream;
import obsprop.analysis.heads.HeadNull;
import obsprop.analysis.heads.HeadTable;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table.Column;
import obsprop.cli.output.Table;
import obsprop.cli.tokens.ResolvedObservable;

/** What {@code heads} found; p-values where they were asked for. */
record HeadsReport(
        String model, String norm, List<ResolvedObservable> observables, HeadTable table, Optional<HeadNull.PValues> significance)
        implements Report {
    private static final int LARGEST = 10;

    private record Head(int layer, int head) {
        @Override
        public String toString() {
            return "L" + layer + "H" + head;
        }
    }

    /** Two of the observables, by number. */
    private record Pair(int from, int to) {
    }

    @Override
    public JsonNode json() {
        ObjectNode document = Json.object().put("model", model).put("norm", norm);
        ArrayNode list = document.putArray("observables");
        for (int k = 0; k < observables.size(); k++) {
            int number = k;
            ObjectNode observable = ObservableView.json(observables.get(k));
            observable.set("heads", heads(head -> {
                ObjectNode node = json(head).put("norm", table.norm(head.layer, head.head, number));
                significance.ifPresent(p -> node.put("p", p.norm()[number][head.layer][head.head]));
                return node;
            }));
            list.add(observable);
        }
        document.set("pairs", Json.array(pairs(), this::json));
        return document;
    }

    private ObjectNode json(Pair pair) {
        ObjectNode object = Json.object()
                .put("from", observables.get(pair.from).name()).put("to", observables.get(pair.to).name());
        object.set("heads", heads(head -> {
            ObjectNode node = json(head)
                    .put("cosine", table.cosine(head.layer, head.head, pair.from, pair.to))
                    .put("coupling", table.coupling(head.layer, head.head, pair.from, pair.to))
                    .put("coupling_back", table.coupling(head.layer, head.head, pair.to, pair.from));
            significance.ifPresent(p -> node.put("p", p.cosine()[pair.from][pair.to][head.layer][head.head]));
            return node;
        }));
        return object;
    }

    private static ObjectNode json(Head head) {
        return Json.object().put("layer", head.layer).put("head", head.head);
    }

    private ArrayNode heads(Function<Head, JsonNode> node) {
        return Json.array(heads(), node);
    }

    private List<Head> heads() {
        return IntStream.range(0, table.nLayers()).boxed()
                .flatMap(layer -> IntStream.range(0, table.nHeads()).mapToObj(head -> new Head(layer, head))).toList();
    }

    /** Each two once, in the order given. */
    private List<Pair> pairs() {
        List<Pair> pairs = new ArrayList<>();
        for (int from = 0; from < observables.size(); from++) {
            for (int to = from + 1; to < observables.size(); to++) {
                pairs.add(new Pair(from, to));
            }
        }
        return pairs;
    }

    @Override
    public String text() {
        StringBuilder text = new StringBuilder(ObservableView.text(observables));
        for (int k = 0; k < observables.size(); k++) {
            text.append("\nnorms of the heads' feature vectors for ").append(observables.get(k).name())
                    .append(", a row a layer (norms of the model: ").append(norm).append(")\n").append(grid(k))
                    .append("largest: ").append(largest(k)).append("\n");
        }
        for (Pair pair : pairs()) {
            text.append("\n").append(observables.get(pair.from).name()).append(" -> ").append(observables.get(pair.to).name())
                    .append(", heads with the largest products of norms first\n").append(relations(pair));
        }
        return text.toString();
    }

    private Table grid(int k) {
        Column[] columns = new Column[table.nHeads() + 1];
        columns[0] = Column.text("");
        for (int h = 0; h < table.nHeads(); h++) {
            columns[h + 1] = Column.number("H" + h);
        }
        Table grid = new Table(columns);
        for (int l = 0; l < table.nLayers(); l++) {
            String[] cells = new String[columns.length];
            cells[0] = "L" + l;
            for (int h = 0; h < table.nHeads(); h++) {
                cells[h + 1] = Numbers.fixed(table.norm(l, h, k));
            }
            grid.row(cells);
        }
        return grid;
    }

    private String largest(int k) {
        return String.join(", ", heads().stream()
                .sorted((a, b) -> Double.compare(-table.norm(a.layer, a.head, k), -table.norm(b.layer, b.head, k))).limit(LARGEST)
                .map(head -> head + " " + Numbers.fixed(table.norm(head.layer, head.head, k))
                        + significance.map(p -> " (p " + Numbers.fixed(p.norm()[k][head.layer][head.head]) + ")").orElse(""))
                .toList());
    }

    private Table relations(Pair pair) {
        Table relations = new Table(Column.text("head"), Column.number("cosine"), Column.number("coupling"));
        heads().stream().sorted(Comparator.comparingDouble((Head head) ->
                        -table.norm(head.layer, head.head, pair.from) * table.norm(head.layer, head.head, pair.to)))
                .forEach(head -> relations.row(head.toString(),
                        Numbers.fixed(table.cosine(head.layer, head.head, pair.from, pair.to)),
                        Numbers.fixed(table.coupling(head.layer, head.head, pair.from, pair.to))));
        return relations;
    }
}
