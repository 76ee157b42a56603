package obsprop.cli.commands;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import obsprop.analysis.patching.FinalNorm;
import obsprop.analysis.patching.OracleAgreement;
import obsprop.analysis.patching.PatchMode;
import obsprop.analysis.patching.Readout;
import obsprop.cli.UsageException;
import obsprop.cli.options.Choice;
import obsprop.propagation.Observable;
import picocli.CommandLine.Option;

/** How components are patched, where the observable is read, and how many effects are checked. */
final class PatchOptions {
    @Option(names = "--mode", paramLabel = "MODE", defaultValue = "full", converter = ModeConverter.class,
            description = "full: a patched head has its own pattern; ov-only: the clean one (default: ${DEFAULT-VALUE})")
    private PatchMode mode;

    @Option(names = "--final-norm", paramLabel = "on|off", defaultValue = "on", converter = NormConverter.class,
            description = "whether the difference passes the final norm (default: ${DEFAULT-VALUE})")
    private FinalNorm finalNorm;

    @Option(names = "--position", paramLabel = "N", defaultValue = "-1",
            description = "the token whose logits the observable reads, from 0, or from the end with -1"
                    + " (default: ${DEFAULT-VALUE})")
    private int position;

    @Option(names = "--check", paramLabel = "N", defaultValue = "4",
            description = "how many effects, drawn at random, are checked by running the model again in full; 0 for none"
                    + " (default: ${DEFAULT-VALUE})")
    private int checks;

    @Option(names = "--ablate", paramLabel = "HOW", converter = AblationConverter.class,
            description = "instead of a corrupted prompt: patched components read a residual stream of zero, or the mean over"
                    + " the prompts of --over")
    private Optional<Ablation> ablation;

    @Option(names = "--over", paramLabel = "FILE", description = "for --ablate mean: prompts of equal length, one a line")
    private List<Path> over = new ArrayList<>();

    /** Reads {@code zero} and {@code mean}. */
    static final class AblationConverter extends Choice<Ablation> {
        AblationConverter() {
            super(Ablation.values());
        }
    }

    /** Reads {@code full} and {@code ov-only}. */
    static final class ModeConverter extends Choice<PatchMode> {
        ModeConverter() {
            super(PatchMode.values());
        }
    }

    /** Reads {@code on} and {@code off}. */
    static final class NormConverter extends Choice<FinalNorm> {
        NormConverter() {
            super(FinalNorm.values());
        }
    }

    /** How heads are patched. */
    PatchMode mode() {
        return mode;
    }

    /** The observable where it is read. */
    Readout readout(Observable observable) {
        return new Readout(observable, position, finalNorm);
    }

    /** Which effects are checked: for one question always the same. */
    private OracleAgreement.Sample sample() {
        if (checks < 0) {
            throw new UsageException("--check: " + checks + " is too few: give 0 for none, or more");
        }
        return new OracleAgreement.Sample(checks, 1);
    }

    /** How a sample of effects compares with reruns; empty where none is asked for. */
    Optional<OracleAgreement> check(Function<OracleAgreement.Sample, OracleAgreement> rerun) {
        return Optional.of(sample()).filter(sample -> sample.count() > 0).map(rerun);
    }

    /** What stands in for the corrupted prompt, if anything. */
    Optional<Ablation> ablation() {
        if (!over.isEmpty() && !ablation.equals(Optional.of(Ablation.MEAN))) {
            throw new UsageException("--over: only --ablate mean averages prompts: add it, or leave --over out");
        }
        return ablation;
    }

    /** The files of prompts to average. */
    List<Path> over() {
        return over;
    }
}
