package obsprop.analysis.lens;

import java.lang.foreign.Arena;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import obsprop.kernel.Kernels;
import obsprop.kernel.Write;
import obsprop.model.Transformer;
import obsprop.model.layer.Embedding;
import obsprop.model.layer.Linear;
import obsprop.model.layer.Unembedding;
import obsprop.tensor.Tensor;

/** Compares vectors of the residual stream with every token's vector, chunk by chunk of the vocabulary. */
public final class Lens {
    /** Tokens in one chunk. */
    private static final int CHUNK = 1024;

    private final Transformer model;
    private final Kernels kernels;
    private final Side side;

    /** Which vector stands for a token. */
    public enum Side {
        /** {@code W_U^T e(token)}: what makes the model say it. */
        UNEMBEDDING,
        /** What the residual stream starts from where it is read, without the position. */
        EMBEDDING
    }

    /** Ways to rank. */
    public enum Measure {
        DOT,
        COSINE;

        double of(Alignment a) {
            return this == DOT ? a.dot : a.cosine;
        }
    }

    /** A token's alignment with a vector; the cosine is 0 for a token whose own vector is zero. */
    public record Alignment(int token, double dot, double cosine) {}

    public Lens(Transformer model, Side side) {
        this.model = model;
        this.kernels = model.kernels();
        this.side = side;
    }

    /** The alignment of every token with {@code y} [d], in the order of ids. */
    public List<Alignment> alignments(double[] y) {
        int d = model.config().dModel();
        if (y.length != d) {
            throw new IllegalArgumentException(
                    "a vector of " + y.length + " elements, but the model's residual stream has " + d);
        }
        int vocabulary = table().size(0);
        double[] dots = new double[vocabulary];
        double[] squares = new double[vocabulary];
        double square = 0;
        for (double v : y) {
            square += v * v;
        }
        for (int first = 0; first < vocabulary; first += CHUNK) {
            chunk(y, first, Math.min(vocabulary, first + CHUNK), dots, squares);
        }
        double norm = Math.sqrt(square);
        return IntStream.range(0, vocabulary)
                .mapToObj(i -> new Alignment(i, dots[i], cosine(dots[i], norm * Math.sqrt(squares[i]))))
                .toList();
    }

    private static double cosine(double dot, double norms) {
        return norms == 0 ? 0 : Math.clamp(dot / norms, -1, 1);
    }

    private void chunk(double[] y, int from, int to, double[] dots, double[] squares) {
        try (Arena arena = Arena.ofShared()) {
            Tensor rows = rows(IntStream.range(from, to).toArray(), arena);
            Tensor host = Tensor.allocate(arena, kernels.activationType(), to - from, y.length);
            kernels.copy(rows, host);
            double[] values = host.toDoubles();
            for (int i = from; i < to; i++) {
                for (int j = 0; j < y.length; j++) {
                    double value = values[(i - from) * y.length + j];
                    dots[i] += value * y[j];
                    squares[i] += value * value;
                }
            }
        }
    }

    private Tensor table() {
        return side == Side.UNEMBEDDING ? model.unembedding().head().weight() : model.embedding().tokens();
    }

    /** The vectors of some tokens, [n,d]. */
    private Tensor rows(int[] ids, Arena arena) {
        Tensor stored = kernels.allocate(arena, ids.length, table().size(1));
        double scale = side == Side.UNEMBEDDING ? 1 : model.embedding().scale();
        kernels.gather(table(), ids, scale, stored, Write.OVERWRITE);
        return switch (side) {
            case UNEMBEDDING -> unprojected(model.unembedding(), stored, arena);
            case EMBEDDING -> projected(model.embedding(), stored, arena);
        };
    }

    private Tensor unprojected(Unembedding unembedding, Tensor stored, Arena arena) {
        Optional<Linear> projection = unembedding.projection();
        if (projection.isEmpty()) {
            return stored;
        }
        Tensor rows = kernels.allocate(arena, stored.size(0), projection.get().inputs());
        projection.get().vjp(kernels, stored, rows, Write.OVERWRITE);
        return rows;
    }

    private Tensor projected(Embedding embedding, Tensor stored, Arena arena) {
        Optional<Linear> projection = embedding.projection();
        if (projection.isEmpty()) {
            return stored;
        }
        Tensor rows = kernels.allocate(arena, stored.size(0), projection.get().outputs());
        projection.get().forward(kernels, stored, rows, Write.OVERWRITE);
        return rows;
    }

    /** The k tokens that align most with y, best first. */
    public static List<Alignment> top(List<Alignment> alignments, Measure measure, int k) {
        return alignments.stream().sorted(Comparator.comparingDouble(a -> -measure.of(a))).limit(k).toList();
    }

    /** The k tokens that align most with -y, best first. */
    public static List<Alignment> bottom(List<Alignment> alignments, Measure measure, int k) {
        return alignments.stream().sorted(Comparator.comparingDouble(measure::of)).limit(k).toList();
    }
}
