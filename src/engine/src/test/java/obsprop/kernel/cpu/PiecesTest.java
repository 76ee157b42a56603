package obsprop.kernel.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

class PiecesTest {
    private static final int UNIT = 48;
    private static final int MOST = 192;

    @Property(tries = 300)
    void piecesCoverTheRangeAndGrow(@ForAll @IntRange(min = 1, max = 9000) int size, @ForAll @IntRange(min = 1, max = 20) int threads) {
        Pieces pieces = new Pieces();
        try (Workers workers = new Workers(threads)) {
            pieces.cut(9000, UNIT, MOST, 8, workers);
            pieces.cut(size, UNIT, MOST, 8, workers);
        }
        int covered = 0;
        for (int chunk = 0; chunk < pieces.count(); chunk++) {
            assertEquals(covered, pieces.start(chunk));
            boolean last = chunk == pieces.count() - 1;
            assertTrue(pieces.size(chunk) > 0 && pieces.size(chunk) <= MOST, "size of chunk " + chunk);
            assertTrue(last || pieces.size(chunk) % UNIT == 0, "unit of chunk " + chunk);
            // Claimed from the highest down: nobody is left with more than the others have just done.
            assertTrue(chunk == 0 || last || pieces.size(chunk) >= pieces.size(chunk - 1), "growth of chunk " + chunk);
            covered += pieces.size(chunk);
        }
        assertEquals(size, covered);
    }

    /** With a thousand rows a thread the last chunk is a twentieth of that. */
    @Property(tries = 50)
    void manyEndFinely(@ForAll @IntRange(min = 960, max = 4000) int rowsOfThread, @ForAll @IntRange(min = 2, max = 20) int threads) {
        Pieces pieces = new Pieces();
        try (Workers workers = new Workers(threads)) {
            pieces.cut(rowsOfThread * threads, UNIT, MOST, 8, workers);
        }
        for (int chunk = 0; chunk < threads; chunk++) {
            assertEquals(UNIT, pieces.size(chunk), "chunk " + chunk);
        }
        assertEquals(MOST, pieces.size(pieces.count() - 2));
    }
}
