package obsprop.analysis.norms;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import obsprop.analysis.statistics.Vectors;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormParameters;
import obsprop.kernel.NormRule;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Transformer;
import obsprop.model.layer.Norm;
import obsprop.propagation.Observable;
import obsprop.propagation.Propagator;
import obsprop.tensor.Tensor;

/**
 * What each approximation of the final norm costs, read at the last position of every prompt: how well the pulled-back
 * observable predicts the observable at its own prompt and, linearised there, at other prompts.
 *
 * <p>With y = W_U^T n, x the final residual stream and p the pull-back of y at x under a rule.
 */
public final class NormErrors {
    /** The rules compared, the exact one first. */
    public static final List<NormRule> RULES =
            List.of(NormRule.EXACT, NormRule.FROZEN, NormRule.PAPER, NormRule.WEIGHT_ONLY);

    private final Transformer model;
    private final Kernels kernels;
    private final Propagator propagator;
    private final Norm.Normalise norm;

    /** @throws IllegalArgumentException if the model has no final norm */
    public NormErrors(Transformer model) {
        if (!(model.finalNorm() instanceof Norm.Normalise normalise)) {
            throw new IllegalArgumentException("this model has no final norm to approximate");
        }
        this.model = model;
        this.kernels = model.kernels();
        this.propagator = new Propagator(model);
        this.norm = normalise;
    }

    /** Prompts that belong together. */
    public record Group(String name, List<int[]> prompts) {}

    /**
     * One rule's errors, means over prompts.
     *
     * @param ownError {@code |p . x + y . bias - y . norm(x)|}, in logits: p as a linear readout at its own prompt. The exact
     *     pull-back is none (x itself is about perpendicular to it): it only tells of changes
     * @param crossError [from][to] over groups: {@code |n . logits(x) + p . (x' - x) - n . logits(x')|} for p taken at a
     *     prompt of the first group and another prompt x' of the second; NaN where there is no pair
     * @param cosine of p with the exact pull-back at the same prompt
     * @param angle of p with gain * y, in radians
     */
    public record RuleErrors(double ownError, double[][] crossError, double cosine, double angle) {}

    /** {@code 2 arccos(sqrt(1 - 1/(d-1)))}: the paper's bound on the expected angle under the exact rule. */
    public static double angleBound(int d) {
        return 2 * Math.acos(Math.sqrt(1 - 1.0 / (d - 1)));
    }

    /** The errors of all rules for one observable. */
    public Map<NormRule, RuleErrors> of(List<Group> groups, Observable n) {
        List<Point> points = new ArrayList<>();
        for (int g = 0; g < groups.size(); g++) {
            points.addAll(points(g, groups.get(g), n));
        }
        Map<NormRule, RuleErrors> errors = new EnumMap<>(NormRule.class);
        RULES.forEach(rule -> errors.put(rule, errors(rule, points, groups.size())));
        return errors;
    }

    /**
     * One prompt: its final residual stream x, the observable's value, the norm's part of it, and the pull-backs.
     *
     * @param normed {@code y . (norm(x) - bias)}
     */
    private record Point(int group, double[] x, double value, double normed, Map<NormRule, double[]> pulled) {}

    private List<Point> points(int number, Group group, Observable n) {
        List<Point> points = new ArrayList<>();
        for (Batch batch : Batches.of(group.prompts())) {
            try (Arena arena = Arena.ofShared();
                    ActivationCache cache = model.forward(batch, Keep.LAST, model.config().nLayers())) {
                Tensor residual = cache.residual(model.config().nLayers());
                for (int b = 0; b < batch.segments().count(); b++) {
                    int row = batch.segments().start(b + 1) - 1;
                    points.add(point(number, residual.slice(0, row, row + 1), n, arena));
                }
            }
        }
        return points;
    }

    private Point point(int group, Tensor x, Observable n, Arena arena) {
        int d = model.config().dModel();
        Tensor y = kernels.allocate(arena, 1, d);
        propagator.unembedAt(x, n, y);
        Tensor normed = kernels.allocate(arena, 1, d);
        norm.forward(kernels, x, normed, kernels.allocate(arena, 1, 2));
        Map<NormRule, double[]> pulled = new EnumMap<>(NormRule.class);
        for (NormRule rule : RULES) {
            Tensor p = kernels.allocate(arena, 1, d);
            model.finalNormVjp(x, y, rule, p);
            pulled.put(rule, host(p));
        }
        double[] observed = host(y);
        double part = Vectors.dot(observed, host(normed)) - Vectors.dot(observed, bias());
        double value = n.value(propagator.logits(x).select(0, 0));
        return new Point(group, host(x), value, part, pulled);
    }

    private double[] bias() {
        NormParameters parameters = norm.parameters();
        return parameters.bias().map(this::host).orElseGet(() -> new double[parameters.width()]);
    }

    private double[] host(Tensor x) {
        try (Arena arena = Arena.ofShared()) {
            Tensor host = Tensor.allocate(arena, kernels.activationType(), x.shape());
            kernels.copy(x, host);
            return host.toDoubles();
        }
    }

    private static RuleErrors errors(NormRule rule, List<Point> points, int groups) {
        double own = 0;
        double cosine = 0;
        double angle = 0;
        double[][] cross = new double[groups][groups];
        int[][] pairs = new int[groups][groups];
        for (Point from : points) {
            double[] p = from.pulled.get(rule);
            own += Math.abs(Vectors.dot(p, from.x) - from.normed) / points.size();
            cosine += Vectors.cosine(p, from.pulled.get(NormRule.EXACT)) / points.size();
            angle += Math.acos(Vectors.cosine(p, from.pulled.get(NormRule.WEIGHT_ONLY))) / points.size();
            double origin = from.value - Vectors.dot(p, from.x);
            for (Point to : points) {
                if (from != to) {
                    cross[from.group][to.group] += Math.abs(origin + Vectors.dot(p, to.x) - to.value);
                    pairs[from.group][to.group]++;
                }
            }
        }
        for (int i = 0; i < groups; i++) {
            for (int j = 0; j < groups; j++) {
                cross[i][j] /= pairs[i][j];
            }
        }
        return new RuleErrors(own, cross, cosine, angle);
    }
}
