package obsprop.weights.train;

import java.util.Locale;
import java.util.Map;
import obsprop.weights.JsonText;

/** Means over the steps since the last report. */
final class Pace {
    private final int steps;
    private final long begin = System.nanoTime();
    private long since = begin;
    private int firstStep;
    private Trainer.Step last;
    private double loss;
    private long tokens;
    private int count;

    Pace(int steps) {
        this.steps = steps;
    }

    void add(Trainer.Step step) {
        firstStep = firstStep == 0 ? step.number() : firstStep;
        last = step;
        loss += step.loss();
        tokens += step.tokens();
        count++;
    }

    void restart() {
        since = System.nanoTime();
        loss = 0;
        tokens = 0;
        count = 0;
    }

    Map<String, Object> fields() {
        return JsonText.object("step", last.number(), "loss", loss / count, "learning_rate", last.rate(),
                "gradient_norm", last.gradientNorm(), "tokens_per_second", Math.rint(tokens / seconds(since)));
    }

    String line() {
        double left = seconds(begin) / (last.number() - firstStep + 1) * (steps - last.number());
        return String.format(Locale.ROOT, "step %d of %d: loss %.4f, %.0f tokens/s, %.0f s left",
                last.number(), steps, loss / count, tokens / seconds(since), left);
    }

    private static double seconds(long from) {
        return (System.nanoTime() - from) / 1e9;
    }
}
