package obsprop.cli.output;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class ProgressTest {
    private final List<String> drawn = new ArrayList<>();
    private long seconds;

    @Test
    void redrawsItsLineAndTakesItAway() {
        try (Progress progress = new Progress(drawn::add, () -> TimeUnit.SECONDS.toNanos(seconds), "scores", 200)) {
            progress.step(10);
            assertEquals(List.of(), drawn, "nothing is drawn at once");
            seconds = 30;
            progress.step(90);
            progress.step(0);
            assertEquals(List.of("\rscores  50 % [###############...............] 3.3/s, 0:30, 0:30 left"), drawn);
            seconds = 90;
            progress.step(500);
            assertEquals("\rscores 100 % [##############################] 6.7/s, 1:30, 0:00 left", drawn.getLast());
        }
        assertEquals("\r" + " ".repeat(68) + "\r", drawn.getLast());
    }

    @Test
    void aTaskThatIsOverSoonIsNeverDrawn() {
        try (Progress progress = new Progress(drawn::add, () -> 0, "scores", 0)) {
            progress.step(1);
        }
        assertEquals(List.of(), drawn);
    }
}
