package obsprop.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import obsprop.kernel.Activation;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormParameters;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Embedding;
import obsprop.model.layer.Linear;
import obsprop.model.layer.Linear.Layout;
import obsprop.model.layer.Mlp;
import obsprop.model.layer.Norm;
import obsprop.model.layer.QkvProjection;
import obsprop.model.layer.SequentialBlock;
import obsprop.model.layer.Unembedding;
import obsprop.tensor.DType;
import obsprop.tensor.Place;
import obsprop.tensor.Tensor;

/**
 * A model of a known shape with random weights, made in memory: every weight is a window of one pool of random numbers,
 * so that no file is needed and the same model can be built for any backend.
 */
final class RandomModel implements AutoCloseable {
    private static final double DEVIATION = 0.02;
    private static final double EPSILON = 1e-5;
    private static final int NEO_WINDOW = 256;

    private final Shape shape;
    private final Arena arena = Arena.ofShared();
    private final Tensor pool;
    private int next;

    /** The shapes that are measured. */
    enum Shape {
        GPT_NEO_1_3B(24, 2048, 16, 50257, 2048),
        GPT2(12, 768, 12, 50257, 1024),
        GPT2_XL(48, 1600, 25, 50257, 1024),
        /** For a dry run. */
        TINY(2, 64, 4, 97, 64);

        private final int layers;
        private final int d;
        private final int heads;
        private final int vocabulary;
        private final int positions;

        Shape(int layers, int d, int heads, int vocabulary, int positions) {
            this.layers = layers;
            this.d = d;
            this.heads = heads;
            this.vocabulary = vocabulary;
            this.positions = positions;
        }

        /** From a name such as {@code gpt-neo-1.3b}. */
        static Shape named(String name) {
            return valueOf(name.toUpperCase(Locale.ROOT).replace('-', '_').replace('.', '_'));
        }

        private boolean isNeo() {
            return this == GPT_NEO_1_3B || this == TINY;
        }

        private ModelConfig config() {
            return new ModelConfig(isNeo() ? "gpt_neo" : "gpt2", layers, heads, heads, d, d / heads, 4 * d, vocabulary, positions);
        }
    }

    /** @param type of all weights, F32 or BF16 */
    RandomModel(Shape shape, DType type) {
        this.shape = shape;
        int elements = Math.max(shape.vocabulary, 4 * shape.d) * shape.d + 997; // room for windows to differ
        pool = Tensor.allocate(arena, type, elements);
        int slices = 64;
        IntStream.range(0, slices).parallel().forEach(i -> fill(i, slices));
    }

    private void fill(int slice, int slices) {
        var random = new SplittableRandom(slice);
        MemorySegment memory = pool.segment();
        long end = pool.elements() * (slice + 1) / slices;
        for (long i = pool.elements() * slice / slices; i < end; i++) {
            float value = (float) (DEVIATION * random.nextGaussian());
            if (pool.dtype() == DType.F32) {
                memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
            } else {
                memory.setAtIndex(ValueLayout.JAVA_SHORT, i, Tensor.floatToBf16(value));
            }
        }
    }

    /** The model where {@code kernels} compute; each call gives the same weights. */
    Transformer on(Kernels kernels) {
        next = 0;
        Arena owner = Arena.ofShared();
        Tensor tokens = weight(kernels, owner, shape.vocabulary, shape.d);
        Tensor positions = weight(kernels, owner, shape.positions, shape.d);
        List<Block> blocks = IntStream.range(0, shape.layers).mapToObj(l -> block(kernels, owner, l)).toList();
        return new Transformer(shape.config(), kernels, owner,
                new Embedding(tokens, 1, Optional.empty(), Optional.of(positions)), blocks, norm(kernels, owner),
                new Unembedding(Optional.empty(), new Linear(tokens, Layout.OUT_IN, Optional.empty()), AttentionSpec.NO_CAP));
    }

    private Block block(Kernels kernels, Arena owner, int layer) {
        int d = shape.d;
        int width = d / shape.heads;
        boolean neo = shape.isNeo();
        List<Linear> parts = neo
                ? List.of(linear(kernels, owner, d, d, false), linear(kernels, owner, d, d, false),
                        linear(kernels, owner, d, d, false))
                : List.of(linear(kernels, owner, d, 3 * d, true));
        var projection = new QkvProjection(parts, QkvProjection.Arrangement.BY_ROLE, shape.heads, shape.heads, width);
        int window = neo && layer % 2 == 1 ? NEO_WINDOW : AttentionSpec.NO_WINDOW;
        // GPT-Neo does not scale its scores, but with random weights they would be so large that rounding decides
        var spec = new AttentionSpec(1 / Math.sqrt(width), window, AttentionSpec.NO_CAP);
        var attention = new Attention(
                projection, Optional.empty(), Optional.empty(), spec, linear(kernels, owner, d, d, true));
        var mlp = new Mlp.Plain(linear(kernels, owner, d, 4 * d, true), Activation.GELU_TANH,
                linear(kernels, owner, 4 * d, d, true));
        return new SequentialBlock(layer, attention, mlp,
                norm(kernels, owner), Norm.IDENTITY, norm(kernels, owner), Norm.IDENTITY);
    }

    /** As the family stores it: [out,in] for GPT-Neo, [in,out] for GPT-2. */
    private Linear linear(Kernels kernels, Arena owner, int in, int out, boolean biased) {
        Tensor weight = shape.isNeo() ? weight(kernels, owner, out, in) : weight(kernels, owner, in, out);
        return new Linear(weight, shape.isNeo() ? Layout.OUT_IN : Layout.IN_OUT,
                biased ? Optional.of(weight(kernels, owner, out)) : Optional.empty());
    }

    private Norm norm(Kernels kernels, Arena owner) {
        return Norm.of(new NormParameters(NormParameters.Kind.LAYER, EPSILON, 1, weight(kernels, owner, shape.d),
                Optional.of(weight(kernels, owner, shape.d))));
    }

    /** The next window of the pool. */
    private Tensor weight(Kernels kernels, Arena owner, int... size) {
        long elements = IntStream.of(size).asLongStream().reduce(1, (a, b) -> a * b);
        long room = pool.elements() - elements;
        long first = next++ * 7919L % (room + 1) / 16 * 16; // on a cache line
        MemorySegment window = pool.segment().asSlice(first * pool.dtype().bytes());
        return kernels.place(owner, Tensor.of(window, pool.dtype(), Place.HOST, size));
    }

    @Override
    public void close() {
        arena.close();
    }
}
