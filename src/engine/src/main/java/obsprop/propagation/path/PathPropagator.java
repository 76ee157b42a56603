package obsprop.propagation.path;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormRule;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.propagation.FeatureVector;
import obsprop.propagation.HostRows;
import obsprop.propagation.Observable;
import obsprop.propagation.Path;
import obsprop.propagation.PromptRun;
import obsprop.propagation.Propagator;
import obsprop.propagation.Provenance;
import obsprop.propagation.Site;
import obsprop.propagation.Step;
import obsprop.tensor.Tensor;

/**
 * Pulls an observable back along a path, one component after the other: {@code W_U^T n} (with the factor of a final soft
 * cap at the clean point), the final norm, then each step by its vector-Jacobian product. Patterns and the norms around
 * attention are linearised at the clean prompt; an MLP, with its own norms, at the {@link MlpPoint} asked for. In
 * post-norm families the write direction passes through the post-norm, with the other heads at their clean values.
 *
 * <p>An exact norm's VJP is orthogonal to the activation it is taken at (epsilon aside): with {@link NormRule#EXACT}
 * {@code y . x} is near zero on the clean prompt itself, and it is changes of x that y predicts.
 *
 * <p>Differs on purpose from the notebooks of the paper: an attention step uses the norm before attention and an MLP step
 * the norm before the MLP (they are swapped there), a norm's gain is applied where the norm stands, before the circuits
 * of later steps, and only {@link NormRule#PAPER} leaves out centring and the radial projection.
 */
public final class PathPropagator {
    private final Transformer model;
    private final Kernels kernels;
    private final String modelName;

    /** @param modelName what provenances call the model */
    public PathPropagator(Transformer model, String modelName) {
        this.model = model;
        this.kernels = model.kernels();
        this.modelName = modelName;
    }

    /**
     * A feature vector, and where each MLP on its path was linearised.
     *
     * @param mlps nearest the output first
     */
    public record Propagated(FeatureVector feature, List<MlpFinding> mlps) {}

    /**
     * The feature vector of an observable at the end of a path, the observable being read at the prompt's last position.
     *
     * @throws IllegalArgumentException if the path is not legal here, or the rules need prompts that are not there
     */
    public Propagated propagate(Observable n, Path path, PathRules rules, Runs runs) {
        Path resolved = resolve(path, runs);
        requireRuns(resolved, rules, runs);
        try (Arena arena = Arena.ofShared();
                MlpPull mlp = new MlpPull(model);
                HeadsPull heads = new HeadsPull(model)) {
            Tensor y = kernels.allocate(arena, 1, model.config().dModel());
            start(n, rules, runs.clean(), y);
            List<MlpFinding> findings = new ArrayList<>();
            int destination = last(runs);
            for (Step step : resolved.steps()) {
                switch (step) {
                    case Step.Heads s -> heads.pull(s, destination, y, rules, runs.clean(), y);
                    case Step.Mlp s -> findings.add(mlp.pull(s, y, rules.point(), runs.clean().orElseThrow().input(s),
                            runs.corrupted().map(c -> c.input(s)), rules.innerNorms(), y));
                    case Step.Embedding s -> { }
                }
                destination = step.token();
            }
            return new Propagated(feature(y, n, resolved, rules, findings, destination), findings);
        }
    }

    /** Without a prompt tokens mean nothing, and only the order of the steps can be checked. */
    private Path resolve(Path path, Runs runs) {
        if (runs.clean().isPresent()) {
            return path.resolve(model, runs.clean().get().length());
        }
        path.requireOrder(model);
        return path;
    }

    private static int last(Runs runs) {
        return runs.clean().map(c -> c.length() - 1).orElse(-1);
    }

    private void requireRuns(Path path, PathRules rules, Runs runs) {
        boolean hasMlp = path.steps().stream().anyMatch(Step.Mlp.class::isInstance);
        if (runs.clean().isEmpty() && (hasMlp || !rules.dataFree())) {
            throw new IllegalArgumentException("path \"" + path + "\" needs a prompt: "
                    + (hasMlp ? "an MLP is linearised at an activation" : "its norms or patterns are those of a prompt"));
        }
        boolean needsCorrupted = rules.point() == MlpPoint.CORRUPTED || rules.point() == MlpPoint.BOUNDARY;
        if (hasMlp && needsCorrupted && runs.corrupted().isEmpty()) {
            throw new IllegalArgumentException("path \"" + path + "\" with MLPs linearised at the "
                    + (rules.point() == MlpPoint.CORRUPTED ? "corrupted activation" : "decision boundary")
                    + " needs a corrupted prompt");
        }
    }

    /**
     * The direction [1,d] at the final residual stream. The factor of a soft cap depends on activations, and so is left
     * out where the final norm's rule uses none.
     */
    private void start(Observable n, PathRules rules, Optional<PromptRun> run, Tensor y) {
        Propagator propagator = new Propagator(model);
        try (Arena arena = Arena.ofShared()) {
            if (PathRules.usesActivations(rules.finalNorm())) {
                PromptRun clean = run.orElseThrow();
                Tensor x = clean.residual(model.config().nLayers(), Point.INPUT, clean.length() - 1);
                n.requireWithin(model.config().dVocab());
                propagator.unembedAt(x, n, y);
                model.finalNormVjp(x, y, rules.finalNorm(), y);
            } else {
                Tensor blank = kernels.allocate(arena, 1, model.config().dModel());
                kernels.copy(propagator.unembed(List.of(n), arena), y);
                model.finalNormVjp(blank, y, rules.finalNorm(), y);
            }
        }
    }

    private FeatureVector feature(
            Tensor y, Observable n, Path path, PathRules rules, List<MlpFinding> findings, int position) {
        Site site = path.steps().isEmpty()
                ? new Site(model.config().nLayers(), Point.INPUT, position)
                : path.steps().getLast().reads(model);
        String norms = rules.finalNorm() == rules.innerNorms()
                ? name(rules.finalNorm())
                : name(rules.innerNorms()) + " (final " + name(rules.finalNorm()) + ")";
        String points = findings.stream().map(MlpFinding::toString).collect(Collectors.joining(" | "));
        String point = name(rules.point()) + (points.isEmpty() ? "" : ": " + points);
        return new FeatureVector(HostRows.read(kernels, y), site,
                new Provenance(modelName, n.name(), path.toString(), norms, name(rules.pattern()), point));
    }

    private static String name(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
