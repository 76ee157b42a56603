package obsprop.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import obsprop.kernel.Kernels;
import obsprop.kernel.Write;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.propagation.Observable;
import obsprop.propagation.Propagator;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.testing.Agreement;
import obsprop.testing.Backends;
import obsprop.testing.Shared;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Small models that were really trained, against what their own authors' programs compute. */
class RealModelsTest {
    /** Of nano-sort's tensors, against max(1, the largest value). */
    private static final double NANO_SORT = 1e-5;

    /** Tokens of stories260k: she, he, and "Lily was sad because", "Tim was sad because". */
    private static final int SHE = 358;
    private static final int HE = 281;
    private static final int[] LILY = {317, 286, 296, 418, 329, 429, 412, 425, 372};
    private static final int[] TIM = {326, 286, 296, 418, 329, 429, 412, 425, 372};

    static Stream<Kernels> backends() {
        return Backends.all();
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("backends")
    void nanoSortReproducesEveryTensor(Kernels kernels) {
        Path dir = Shared.require("models/nano-sort");
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(dir, kernels)) {
            var expected = SafetensorsFile.open(dir.resolve("reference_activations.safetensors"), arena);
            Batch batch = batch(expected.tensor("idx"));
            var check = new Check(expected, batch.segments().count(), batch.segments().longest());
            try (ActivationCache first = model.forward(batch, Keep.EVERYTHING, 1);
                    ActivationCache all = model.forward(batch)) {
                embedding(model, batch, check, arena);
                insideOfBlock(model, first, check, arena);
                IntStream.range(0, 3).forEach(l -> check.rows("block" + l, all.residual(l + 1)));
                output(model, all, check, arena);
            }
            assertEquals(expected.names().size() - 1, check.checked, "tensors compared, all but the tokens");
        }
    }

    /** Compares rows with a reference tensor [B,T,...] and counts. */
    private static final class Check {
        private final SafetensorsFile expected;
        private final int b;
        private final int t;
        private int checked;

        Check(SafetensorsFile expected, int b, int t) {
            this.expected = expected;
            this.b = b;
            this.t = t;
        }

        void rows(String name, Tensor actual) {
            same(name, expected.tensor(name).toDoubles(), actual.toDoubles());
        }

        /** The reference has [B,H,T,...] where the rows are [B*T,H,...]. */
        void heads(String name, Tensor actual) {
            Tensor reference = expected.tensor(name);
            double[] wanted = new double[(int) reference.elements()];
            int i = 0;
            for (int prompt = 0; prompt < b; prompt++) {
                for (int row = 0; row < t; row++) {
                    for (int h = 0; h < reference.size(1); h++) {
                        for (int e = 0; e < reference.size(3); e++) {
                            wanted[i++] = reference.get(prompt, h, row, e);
                        }
                    }
                }
            }
            same(name, wanted, actual.toDoubles());
        }

        void same(String name, double[] wanted, double[] actual) {
            double error = Agreement.error("nano-sort " + name, wanted, actual);
            assertEquals(0, error, NANO_SORT, name);
            checked++;
        }
    }

    private static Batch batch(Tensor ids) {
        return Batch.of(IntStream.range(0, ids.size(0))
                .mapToObj(b -> IntStream.range(0, ids.size(1)).map(t -> (int) ids.get(b, t)).toArray())
                .toList());
    }

    private static void embedding(Transformer model, Batch batch, Check check, Arena arena) {
        Kernels kernels = model.kernels();
        int d = model.config().dModel();
        Tensor tokens = kernels.allocate(arena, batch.rows(), d);
        kernels.gather(model.embedding().tokens(), batch.tokenIds(), 1, tokens, Write.OVERWRITE);
        check.rows("tok_emb", tokens);
        check.rows("pos_emb", model.embedding().positions().orElseThrow().slice(0, 0, batch.segments().longest()));
        try (ActivationCache cache = model.forward(batch, Keep.LAST, 0)) {
            check.rows("x", cache.residual(0));
        }
    }

    private static void insideOfBlock(Transformer model, ActivationCache cache, Check check, Arena arena) {
        Kernels kernels = model.kernels();
        Block block = model.block(0);
        Block.State state = cache.state(0);
        Attention.State attention = state.attention();
        int n = cache.segments().rows();
        int d = model.config().dModel();
        Tensor normed = kernels.allocate(arena, n, d);
        Tensor stats = kernels.allocate(arena, n, 2);
        block.attentionInput().forward(kernels, cache.residual(0), normed, stats);
        check.rows("ln1", normed);
        check.rows("qkv", attention.projected());
        check.heads("q", attention.inputs().q());
        check.heads("k", attention.inputs().k());
        check.heads("v", attention.inputs().v());
        scores(model, cache, check);
        check.rows("y", attention.mixed());
        Tensor projected = kernels.allocate(arena, n, d);
        block.attention().output().forward(kernels, attention.mixed(), projected, Write.OVERWRITE);
        check.rows("yProj", projected);
        check.rows("attnResid", state.middle());
        block.mlpInput().forward(kernels, state.middle(), normed, stats);
        check.rows("ln2", normed);
        check.rows("fc", state.mlp().gate());
        check.rows("gelu", state.mlp().hidden());
        block.mlp().down().forward(kernels, state.mlp().hidden(), projected, Write.OVERWRITE);
        check.rows("mlp", projected);
        check.rows("mlpResid", cache.residual(1));
    }

    /** Pattern, and the scores before the softmax where a key is permitted. */
    private static void scores(Transformer model, ActivationCache cache, Check check) {
        int t = cache.segments().longest();
        int heads = model.config().nHeads();
        var inputs = cache.state(0).attention().inputs();
        double scale = model.block(0).attention().spec().scale();
        Tensor reference = check.expected.tensor("att");
        double[] pattern = new double[check.b * heads * t * t];
        double[] mine = new double[pattern.length];
        double[] wanted = new double[pattern.length];
        try (Arena arena = Arena.ofShared()) {
            for (int b = 0; b < check.b; b++) {
                double[] one = cache.pattern(0, b, arena).toDoubles();
                System.arraycopy(one, 0, pattern, b * one.length, one.length);
            }
        }
        for (int i = 0; i < mine.length; i++) {
            int source = i % t;
            int row = i / t % t;
            int head = i / (t * t) % heads;
            int b = i / (t * t * heads);
            for (int e = 0; e < inputs.q().size(2) && source <= row; e++) {
                mine[i] += scale * inputs.q().get(b * t + row, head, e) * inputs.k().get(b * t + source, head, e);
            }
            wanted[i] = source <= row ? reference.get(b, head, row, source) : 0;
        }
        check.same("att", wanted, mine);
        check.same("attSm", check.expected.tensor("attSm").toDoubles(), pattern);
    }

    private static void output(Transformer model, ActivationCache cache, Check check, Arena arena) {
        Kernels kernels = model.kernels();
        Tensor normed = kernels.allocate(arena, cache.segments().rows(), model.config().dModel());
        model.finalNorm().forward(kernels, cache.residual(3), normed,
                kernels.allocate(arena, cache.segments().rows(), 2));
        check.rows("ln_f", normed);
        Tensor logits = model.logits(cache, arena);
        check.rows("lm_head", logits);
        double[] probabilities = logits.toDoubles();
        int v = model.config().dVocab();
        for (int row = 0; row < probabilities.length; row += v) {
            double sum = Arrays.stream(probabilities, row, row + v).map(Math::exp).sum();
            for (int i = row; i < row + v; i++) {
                probabilities[i] = Math.exp(probabilities[i]) / sum;
            }
        }
        check.same("probs", check.expected.tensor("probs").toDoubles(), probabilities);
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("backends")
    void stories260kPrefersThePronounOfTheName(Kernels kernels) {
        Path dir = Shared.require("models/stories260k");
        Observable she = Observable.difference("she - he", SHE, HE);
        try (Transformer model = ModelLoader.open(dir, kernels);
                ActivationCache cache = model.forward(Batch.of(LILY, TIM))) {
            Tensor logits = new Propagator(model).logits(cache.residual(model.config().nLayers()));
            double[] values = {
                she.value(logits.select(0, LILY.length - 1)),
                she.value(logits.select(0, LILY.length + TIM.length - 1))
            };
            assertEquals(kernels.activationType() == DType.F64 ? DType.F64 : DType.F32, logits.dtype());
            assertArrayEquals(new double[] {3.19, -4.70}, values, 0.005, Arrays.toString(values));
        }
    }
}
