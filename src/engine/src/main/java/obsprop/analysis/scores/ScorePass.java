package obsprop.analysis.scores;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.tensor.Tensor;

/**
 * Scores batches of windows with many vectors at any sites in one forward pass, which ends at the deepest site and keeps
 * one layer at a time: between attention and MLP it ends before the MLP.
 */
final class ScorePass implements AutoCloseable {
    private final Transformer model;
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final List<Group> groups = new ArrayList<>();
    private final int vectors;
    private final int stopLayer;
    private final Point stopPoint;
    private Optional<ActivationCache> cache = Optional.empty();

    /** The vectors of one site: their numbers, and themselves [k,d]. */
    private record Group(int layer, Point point, int[] numbers, Tensor vectors) {}

    ScorePass(Transformer model, List<ScoredVector> vectors) {
        this.model = model;
        this.kernels = model.kernels();
        this.vectors = vectors.size();
        vectors.forEach(v -> v.requireWithin(model));
        ScoredVector deepest = vectors.stream()
                .max(Comparator.comparingInt(ScoredVector::layer).thenComparing(ScoredVector::point))
                .orElseThrow(() -> new IllegalArgumentException("there is no vector to score"));
        stopLayer = deepest.layer();
        stopPoint = deepest.point();
        for (int l = 0; l <= stopLayer; l++) {
            for (Point point : Point.values()) {
                group(vectors, l, point).ifPresent(groups::add);
            }
        }
    }

    private Optional<Group> group(List<ScoredVector> all, int layer, Point point) {
        int[] numbers = IntStream.range(0, all.size())
                .filter(i -> all.get(i).layer() == layer && all.get(i).point() == point)
                .toArray();
        if (numbers.length == 0) {
            return Optional.empty();
        }
        int d = model.config().dModel();
        Tensor host = Tensor.allocate(arena, kernels.activationType(), numbers.length, d);
        for (int i = 0; i < numbers.length; i++) {
            for (int j = 0; j < d; j++) {
                host.set(all.get(numbers[i]).vector()[j], i, j);
            }
        }
        Tensor placed = kernels.allocate(arena, numbers.length, d);
        kernels.copy(host, placed);
        return Optional.of(new Group(layer, point, numbers, placed));
    }

    /** The scores of every token, windows one after the other: [rows][K]. */
    double[][] score(List<Window> windows) {
        Batch batch = Batch.of(windows.stream().map(Window::tokenIds).toList());
        double[][] scores = new double[batch.rows()][vectors];
        model.forward(batch, room(batch), (layer, point, x) -> groups.stream()
                .filter(g -> g.layer == layer && g.point == point)
                .forEach(g -> score(x, g, scores)));
        return scores;
    }

    private ActivationCache room(Batch batch) {
        if (cache.filter(c -> c.segments().equals(batch.segments())).isEmpty()) {
            cache.ifPresent(ActivationCache::close);
            cache = Optional.empty();
            cache = Optional.of(stopPoint == Point.MIDDLE
                    ? model.allocateToMiddle(batch.segments(), stopLayer)
                    : model.allocate(batch.segments(), Keep.LAST, stopLayer));
        }
        return cache.get();
    }

    private void score(Tensor x, Group group, double[][] scores) {
        try (Arena temporary = Arena.ofShared()) {
            int k = group.numbers.length;
            Tensor products = kernels.allocate(temporary, x.size(0), k);
            kernels.gemm(x, Transpose.NO, group.vectors, Transpose.YES, products, Write.OVERWRITE);
            Tensor host = Tensor.allocate(temporary, kernels.activationType(), x.size(0), k);
            kernels.copy(products, host);
            for (int row = 0; row < scores.length; row++) {
                for (int i = 0; i < k; i++) {
                    scores[row][group.numbers[i]] = host.get(row, i);
                }
            }
        }
    }

    @Override
    public void close() {
        cache.ifPresent(ActivationCache::close);
        arena.close();
    }
}
