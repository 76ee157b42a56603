package obsprop.kernel.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

class BlocksTest {
    /** Whole updates of rank 4 and of rank 7. */
    private static final int UPDATES = 28;

    /** Buffers hold {@link Blocks#DEPTH} rows; two threads that share the blocks have about as many rows. */
    @Property(tries = 2000)
    void blocksCoverAllOfKAndFit(@ForAll @IntRange(min = 1, max = 200_000) int k) {
        int count = Blocks.count(k);
        assertTrue(count < 2 || count % 2 == 0, "odd number of blocks");
        assertEquals(0, Blocks.start(k, 0));
        assertEquals(k, Blocks.start(k, count));
        for (int block = 0; block < count; block++) {
            int rows = Blocks.start(k, block + 1) - Blocks.start(k, block);
            assertTrue(rows > 0 && rows <= Blocks.DEPTH, rows + " rows in block " + block);
            assertEquals(0, Blocks.start(k, block) % UPDATES);
        }
        assertTrue(count < 2 || Math.abs(2 * Blocks.start(k, count / 2) - k) <= 2 * UPDATES, "uneven halves");
    }
}
