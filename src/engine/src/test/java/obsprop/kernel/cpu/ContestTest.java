package obsprop.kernel.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

final class ContestTest {
    private static final long SHAPE = 12;

    private long now;
    private final Contest contest = new Contest(() -> now);

    /** How often the second way is gone in some calls that take these times. */
    private int second(long shape, int calls, long... times) {
        int second = 0;
        for (int i = 0; i < calls; i++) {
            int way = contest.begin(shape);
            second += way;
            now += times[way];
            contest.end();
        }
        return second;
    }

    @Test
    void eachWayIsTriedThenTheFasterOneIsGone() {
        assertEquals(0, second(SHAPE, 1, 1000, 900));
        assertEquals(1, second(SHAPE, 1, 1000, 900));
        second(SHAPE, 900, 1000, 900);
        assertEquals(99, second(SHAPE, 100, 1000, 900));
        assertEquals(0, second(SHAPE + 1, 1, 1000, 1100));
        second(SHAPE + 1, 900, 1000, 1100);
        assertEquals(1, second(SHAPE + 1, 100, 1000, 1100));
    }

    /** First times are long, as before compilation: they count for nothing once another was measured. */
    @Test
    void whatWasSlowAtFirstMayWin() {
        second(SHAPE, 10, 1000, 90_000);
        second(SHAPE, 10, 1000, 900);
        assertEquals(99, second(SHAPE, 100, 1000, 900), 10);
    }

    /** Times grow where a host gets busy: what was measured before is forgotten. */
    @Test
    void theFasterWayMayBecomeTheSlower() {
        second(SHAPE, 900, 1000, 1100);
        second(SHAPE, 100, 3000, 1200);
        assertEquals(99, second(SHAPE, 100, 3000, 1200));
    }

    @Test
    void everyShapeHasATimeOfItsOwn() {
        second(1, 900, 1000, 900);
        second(2, 900, 900, 1000);
        assertEquals(99, second(1, 100, 1000, 900));
        assertEquals(1, second(2, 100, 900, 1000));
    }
}
