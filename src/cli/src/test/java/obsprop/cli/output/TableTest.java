package obsprop.cli.output;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import obsprop.cli.output.Table.Column;
import org.junit.jupiter.api.Test;

class TableTest {
    @Test
    void alignsItsColumns() {
        Table table = new Table(Column.text("head"), Column.number("norm"), Column.text("note"))
                .row("L0H1", "1.5", "").row("L10H11", "12.25", "\u2581she");
        assertEquals("""
                head     norm  note
                L0H1      1.5
                L10H11  12.25  \u2581she
                """, table.toString());
    }

    @Test
    void cellsKeepToTheirLine() {
        Table table = new Table(Column.text("token"), Column.number("id")).row("a\n\t\0\033[1m", "1");
        assertEquals("""
                token                 id
                a\\n\\t\\u0000\\u001b[1m   1
                """, table.toString());
    }

    @Test
    void refusesRaggedRows() {
        assertThrows(IllegalArgumentException.class, () -> new Table(Column.text("a")).row("1", "2"));
    }
}
