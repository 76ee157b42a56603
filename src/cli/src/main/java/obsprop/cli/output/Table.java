package obsprop.cli.output;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** A plain table: columns aligned by spaces, text to the left and numbers to the right, no frame. */
public final class Table {
    /** Which side of its column a cell sticks to. */
    public enum Side { LEFT, RIGHT }

    /** A column's heading and side. */
    public record Column(String heading, Side side) {
        /** A column of text. */
        public static Column text(String heading) {
            return new Column(heading, Side.LEFT);
        }

        /** A column of numbers. */
        public static Column number(String heading) {
            return new Column(heading, Side.RIGHT);
        }
    }

    private static final String GAP = "  ";

    private final List<Column> columns;
    private final List<List<String>> rows = new ArrayList<>();

    /** A table without rows. */
    public Table(Column... columns) {
        this.columns = List.of(columns);
    }

    /** Adds a row of as many cells as there are columns; control characters in them are shown escaped. */
    public Table row(String... cells) {
        if (cells.length != columns.size()) {
            throw new IllegalArgumentException(cells.length + " cells for " + columns.size() + " columns");
        }
        rows.add(Arrays.stream(cells).map(Visible::of).toList());
        return this;
    }

    /** The heading and the rows, each line ended by a newline and without blanks at its end. */
    @Override
    public String toString() {
        List<List<String>> lines = new ArrayList<>();
        lines.add(columns.stream().map(Column::heading).toList());
        lines.addAll(rows);
        int[] widths = new int[columns.size()];
        for (List<String> line : lines) {
            for (int i = 0; i < widths.length; i++) {
                widths[i] = Math.max(widths[i], width(line.get(i)));
            }
        }
        return lines.stream().map(line -> line(line, widths) + "\n").collect(Collectors.joining());
    }

    private String line(List<String> cells, int[] widths) {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < widths.length; i++) {
            String padding = " ".repeat(widths[i] - width(cells.get(i)));
            boolean left = columns.get(i).side() == Side.LEFT;
            line.append(i == 0 ? "" : GAP).append(left ? cells.get(i) + padding : padding + cells.get(i));
        }
        return line.toString().stripTrailing();
    }

    private static int width(String cell) {
        return cell.codePointCount(0, cell.length());
    }
}
