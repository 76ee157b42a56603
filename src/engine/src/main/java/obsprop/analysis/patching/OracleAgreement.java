package obsprop.analysis.patching;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import obsprop.analysis.runs.PromptPair;
import obsprop.propagation.Path;
import obsprop.propagation.Step;

/**
 * How far a random sample of a sweep lies from {@link PatchOracle}.
 *
 * @param samples how many values were rerun
 * @param values how many there are
 * @param largestDifference absolute
 */
public record OracleAgreement(int samples, int values, double largestDifference) {

    /** How many values to draw, and the seed to draw them with. */
    public record Sample(int count, long seed) {}

    /** Reruns a sample of a head table. */
    public static OracleAgreement of(
            PromptPair pair, Readout readout, PatchMode mode, HeadEffects table, Sample sample) {
        int position = pair.clean().position(readout.position());
        List<FoundPath> values = new ArrayList<>();
        for (int l = 0; l < table.effect().length; l++) {
            for (int h = 0; h < table.effect()[l].length; h++) {
                values.add(new FoundPath(Path.of(Step.Heads.one(l, h, position)), table.effect()[l][h]));
            }
        }
        return check(new Rerunning(pair, readout, mode, Reach.ALL), values, sample);
    }

    /** Reruns a sample of paths. */
    public static OracleAgreement of(
            PromptPair pair, Readout readout, PatchMode mode, Reach reach, List<FoundPath> paths, Sample sample) {
        return check(new Rerunning(pair, readout, mode, reach), new ArrayList<>(paths), sample);
    }

    private record Rerunning(PromptPair pair, Readout readout, PatchMode mode, Reach reach) {}

    private static OracleAgreement check(Rerunning what, List<FoundPath> values, Sample sample) {
        Collections.shuffle(values, new Random(sample.seed));
        int n = Math.min(sample.count, values.size());
        double largest = 0;
        try (PatchOracle oracle = new PatchOracle(what.pair)) {
            for (FoundPath value : values.subList(0, n)) {
                double expected = oracle.effect(what.readout, what.mode, value.path(), what.reach);
                double difference = Math.abs(expected - value.effect());
                largest = Double.isNaN(difference) ? Double.POSITIVE_INFINITY : Math.max(largest, difference);
            }
        }
        return new OracleAgreement(n, values.size(), largest);
    }

    /** One line for people. */
    @Override
    public String toString() {
        return String.format(Locale.ROOT, "%d of %d effects rerun in full: largest difference %.1e",
                samples, values, largestDifference);
    }
}
