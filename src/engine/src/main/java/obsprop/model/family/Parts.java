package obsprop.model.family;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import obsprop.kernel.Activation;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormParameters;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.io.Checkpoint;
import obsprop.model.io.Config;
import obsprop.model.layer.Block;
import obsprop.model.layer.Embedding;
import obsprop.model.layer.Linear;
import obsprop.model.layer.Norm;
import obsprop.model.layer.QkvProjection;
import obsprop.model.layer.Unembedding;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/** What families build from: the configuration, the checkpoint, and the layers made of its tensors. */
record Parts(Config config, Checkpoint checkpoint, Kernels kernels, Arena arena, Weights weights) {
    private static final int COMPARED_ROWS = 500;

    /** What may happen to the weights. */
    enum Weights {
        /** Nothing: what is derived from them stays right. */
        FIXED,
        /** Their owner may change them. */
        CHANGING
    }

    /** Whether a linear map has a bias. */
    enum Bias {
        PRESENT,
        ABSENT;

        static Bias of(boolean present) {
            return present ? PRESENT : ABSENT;
        }
    }

    /** The tensor {@code name} of that shape, where the kernels compute. */
    Tensor tensor(String name, int... shape) {
        Tensor single = stored(name, shape);
        OptionalInt layer = Checkpoint.layerOf(name);
        return layer.isPresent() ? kernels.placeOfLayer(arena, single, layer.getAsInt()) : kernels.place(arena, single);
    }

    private Tensor stored(String name, int... shape) {
        Tensor stored = checkpoint.take(name, shape);
        return stored.dtype() == DType.F64 ? narrowed(stored) : stored;
    }

    /** Kernels compute in single precision: double weights are rounded once. */
    private Tensor narrowed(Tensor wide) {
        Tensor narrow = Tensor.allocate(arena, DType.F32, wide.shape());
        for (long i = 0; i < wide.elements(); i++) {
            narrow.write(i, wide.read(i));
        }
        return narrow;
    }

    /** {@code name.weight} [out,in] and {@code name.bias} [out]. */
    Linear linear(String name, int in, int out, Bias bias) {
        return ready(new Linear(tensor(name + ".weight", out, in), Linear.Layout.OUT_IN, bias(name, out, bias)));
    }

    /** {@code name.weight} [in,out], as GPT-2's Conv1D stores it, and {@code name.bias} [out]. */
    Linear conv1d(String name, int in, int out) {
        return ready(new Linear(tensor(name + ".weight", in, out), Linear.Layout.IN_OUT, bias(name, out, Bias.PRESENT)));
    }

    private Linear ready(Linear map) {
        return weights == Weights.FIXED ? map.fixed(kernels, arena) : map;
    }

    private Optional<Tensor> bias(String name, int out, Bias bias) {
        return bias == Bias.PRESENT ? Optional.of(tensor(name + ".bias", out)) : Optional.empty();
    }

    /** LayerNorm {@code name.weight}, {@code name.bias} [width]. */
    Norm layerNorm(String name, int width, double epsilon) {
        return Norm.of(new NormParameters(NormParameters.Kind.LAYER, epsilon, 0,
                tensor(name + ".weight", width), Optional.of(tensor(name + ".bias", width))));
    }

    /** RMSNorm {@code name.weight} [width]; {@code gainOffset} is 1 where the file stores gain - 1. */
    Norm rmsNorm(String name, int width, double epsilon, double gainOffset) {
        return Norm.of(new NormParameters(NormParameters.Kind.RMS, epsilon, gainOffset,
                tensor(name + ".weight", width), Optional.empty()));
    }

    /**
     * The head {@code name.weight} [vocabulary, width], or the embedding where config ties them.
     *
     * @param embeddingName of the embedding's tensor
     * @param tiedByDefault what a config that does not say means
     */
    Linear head(String name, String embeddingName, Tensor embedding, boolean tiedByDefault, Bias bias) {
        if (config.booleanOr("tie_word_embeddings", tiedByDefault)) {
            requireSame(name + ".weight", embeddingName, embedding.shape());
            if (bias == Bias.PRESENT) {
                return new Linear(embedding, Linear.Layout.OUT_IN, bias(name, embedding.size(0), bias));
            }
            return new Linear(embedding, Linear.Layout.OUT_IN, Optional.empty());
        }
        return linear(name, embedding.size(1), embedding.size(0), bias);
    }

    /**
     * A head that is stored though it is tied has to be the embedding: if not, it was trained by itself. Some rows tell, a page
     * apart or more.
     */
    private void requireSame(String head, String embedding, int... shape) {
        if (!checkpoint.has(head)) {
            return;
        }
        Tensor a = checkpoint.take(head, shape);
        Tensor b = checkpoint.take(embedding, shape);
        boolean same = a.dtype() == b.dtype();
        long bytes = (long) shape[1] * a.dtype().bytes();
        for (int row = 0; same && row < shape[0]; row += Math.max(1, shape[0] / COMPARED_ROWS)) {
            long at = row * bytes;
            same = MemorySegment.mismatch(a.segment(), at, at + bytes, b.segment(), at, at + bytes) < 0;
        }
        if (!same) {
            throw config.refuse("tie_word_embeddings", "ties the head to the embedding, but the weights hold a \"" + head
                    + "\" of its own: set it to false, or remove that tensor");
        }
    }

    /**
     * {@code name.q_proj}, {@code k_proj} and {@code v_proj}, each a map of its own in the file.
     *
     * @param name with the dot at its end
     */
    QkvProjection separateQkv(String name, ModelConfig sizes, Bias bias) {
        int d = sizes.dModel();
        int kv = sizes.nKvHeads() * sizes.dHead();
        List<Linear> parts = linears(List.of(name + "q_proj", name + "k_proj", name + "v_proj"), d,
                List.of(sizes.nHeads() * sizes.dHead(), kv, kv), bias);
        return new QkvProjection(
                parts, QkvProjection.Arrangement.BY_ROLE, sizes.nHeads(), sizes.nKvHeads(), sizes.dHead());
    }

    /** Maps of one input, made one where the kernels have their own copy of the weights anyway. */
    private List<Linear> linears(List<String> names, int in, List<Integer> outs, Bias bias) {
        List<Tensor> weights = IntStream.range(0, names.size())
                .mapToObj(i -> stored(names.get(i) + ".weight", outs.get(i), in))
                .toList();
        Optional<Tensor> stackedBias = bias == Bias.PRESENT ? stackedBias(names, outs) : Optional.empty();
        boolean fits = bias == Bias.ABSENT || stackedBias.isPresent();
        return (fits ? kernels.placeStacked(arena, weights) : Optional.<Tensor>empty())
                .map(weight -> List.of(new Linear(weight, Linear.Layout.OUT_IN, stackedBias)))
                .orElseGet(() -> IntStream.range(0, names.size())
                        .mapToObj(i -> linear(names.get(i), in, outs.get(i), bias))
                        .toList());
    }

    private Optional<Tensor> stackedBias(List<String> names, List<Integer> outs) {
        return kernels.placeStacked(arena, IntStream.range(0, names.size())
                .mapToObj(i -> stored(names.get(i) + ".bias", outs.get(i)))
                .toList());
    }

    /** Scores divided by sqrt(D), all keys seen, no cap. */
    static AttentionSpec plainSpec(ModelConfig sizes) {
        return new AttentionSpec(1 / Math.sqrt(sizes.dHead()), AttentionSpec.NO_WINDOW, AttentionSpec.NO_CAP);
    }

    /** Puts a model together whose logits are the head's, with no projection before it and no cap after it. */
    Transformer transformer(ModelConfig sizes, Embedding embedding, IntFunction<Block> block, Norm last, Linear head) {
        List<Block> blocks = IntStream.range(0, sizes.nLayers()).mapToObj(block).toList();
        return new Transformer(sizes, kernels, arena, embedding, blocks, last,
                new Unembedding(Optional.empty(), head, AttentionSpec.NO_CAP));
    }

    /** The activation named at {@code key}, by the reference implementation's names. */
    Activation activation(String key, String otherwise) {
        String name = config.stringOr(key, otherwise);
        return switch (name.toLowerCase(Locale.ROOT)) {
            case "gelu", "gelu_python" -> Activation.GELU_ERF;
            case "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate", "gelu_python_tanh" ->
                Activation.GELU_TANH;
            case "quick_gelu" -> Activation.QUICK_GELU;
            case "relu" -> Activation.RELU;
            case "relu2" -> Activation.RELU_SQUARED;
            case "silu", "swish" -> Activation.SILU;
            case "tanh" -> Activation.TANH;
            case "sigmoid" -> Activation.SIGMOID;
            case "linear" -> Activation.IDENTITY;
            default -> throw config.refuse(key, "is the activation \"" + name + "\", which is not understood");
        };
    }
}
