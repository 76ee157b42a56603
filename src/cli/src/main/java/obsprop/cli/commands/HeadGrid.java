package obsprop.cli.commands;

import java.util.Comparator;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import obsprop.cli.output.Table.Column;
import obsprop.cli.output.Table;

/** One number a head, for readers: rows are layers. */
record HeadGrid(double[][] values) {
    private static final int LARGEST = 10;

    private record Head(int layer, int head, double value) {
        @Override
        public String toString() {
            return "L" + layer + "H" + head + " " + Numbers.fixed(value);
        }
    }

    /** The grid and, below it, the heads with the largest magnitudes. */
    String text() {
        Column[] columns = new Column[values[0].length + 1];
        columns[0] = Column.text("");
        for (int h = 0; h < values[0].length; h++) {
            columns[h + 1] = Column.number("H" + h);
        }
        Table grid = new Table(columns);
        for (int l = 0; l < values.length; l++) {
            String[] cells = new String[columns.length];
            cells[0] = "L" + l;
            for (int h = 0; h < values[l].length; h++) {
                cells[h + 1] = Numbers.fixed(values[l][h]);
            }
            grid.row(cells);
        }
        return grid + "largest: " + largest() + "\n";
    }

    private String largest() {
        ToDoubleFunction<Head> size = head -> -Math.abs(head.value);
        return IntStream.range(0, values.length).boxed()
                .flatMap(l -> IntStream.range(0, values[l].length).mapToObj(h -> new Head(l, h, values[l][h])))
                .sorted(Comparator.comparingDouble(size)).limit(LARGEST)
                .map(Head::toString).collect(Collectors.joining(", "));
    }
}
