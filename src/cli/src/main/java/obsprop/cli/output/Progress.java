package obsprop.cli.output;

import java.io.PrintStream;
import java.util.Optional;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;

/** How far a long command is, drawn on stderr; or nothing at all. Close it before printing anything. */
public final class Progress implements AutoCloseable {
    private static final int WIDTH = 80;

    private final Optional<ProgressBar> bar;

    private Progress(Optional<ProgressBar> bar) {
        this.bar = bar;
    }

    /** Draws nothing. */
    public static Progress none() {
        return new Progress(Optional.empty());
    }

    /** Draws a bar of {@code steps} steps on the terminal {@code to}. */
    public static Progress bar(PrintStream to, String task, long steps) {
        return new Progress(Optional.of(new ProgressBarBuilder().setTaskName(task).setInitialMax(steps).showSpeed()
                .setConsumer(new ConsoleProgressBarConsumer(to, WIDTH)).clearDisplayOnFinish().build()));
    }

    /** {@code steps} more are done. */
    public void step(long steps) {
        bar.ifPresent(drawn -> drawn.stepBy(steps));
    }

    @Override
    public void close() {
        bar.ifPresent(ProgressBar::close);
    }
}
