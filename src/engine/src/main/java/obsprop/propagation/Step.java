package obsprop.propagation;

import java.util.HashSet;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import obsprop.model.Point;
import obsprop.model.Transformer;

/** One component on a {@link Path}: what reads the residual stream at a token, and writes nearer the output. */
public sealed interface Step {
    /** The token it reads, from 0, or from the end of the prompt with -1. */
    int token();

    /** The same component reading another token. */
    Step at(int token);

    /** Where it reads the residual stream; for the embedding, where it writes. */
    default Site reads(Transformer model) {
        return switch (this) {
            case Heads s -> new Site(s.layer, Point.INPUT, s.token);
            case Mlp s -> new Site(s.layer, model.block(s.layer).hasMiddle() ? Point.MIDDLE : Point.INPUT, s.token);
            case Embedding s -> new Site(0, Point.INPUT, s.token);
        };
    }

    /**
     * Attention heads of one layer, summed: {@code attn2.0@5}, {@code attn2.0+3@5}, or {@code attn2.*@5} for all.
     *
     * @param heads which heads; empty means all of the layer
     */
    record Heads(int layer, List<Integer> heads, int token) implements Step {
        public Heads {
            heads = List.copyOf(heads);
            if (new HashSet<>(heads).size() != heads.size()) {
                throw new IllegalArgumentException("a head of layer " + layer + " is named twice in " + heads);
            }
        }

        /** All heads of a layer. */
        public static Heads all(int layer, int token) {
            return new Heads(layer, List.of(), token);
        }

        public static Heads one(int layer, int head, int token) {
            return new Heads(layer, List.of(head), token);
        }

        /** The heads in a model with {@code nHeads} of them a layer, spelled out. */
        public int[] heads(int nHeads) {
            return heads.isEmpty()
                    ? IntStream.range(0, nHeads).toArray()
                    : heads.stream().mapToInt(h -> h).toArray();
        }

        @Override
        public Heads at(int other) {
            return new Heads(layer, heads, other);
        }

        @Override
        public String toString() {
            String which = heads.stream().map(String::valueOf).collect(Collectors.joining("+"));
            return "attn" + layer + "." + (heads.isEmpty() ? "*" : which) + "@" + token;
        }
    }

    /** The MLP of one layer, {@code mlp2@-1}: it writes at the token it reads. */
    record Mlp(int layer, int token) implements Step {
        @Override
        public Mlp at(int other) {
            return new Mlp(layer, other);
        }

        @Override
        public String toString() {
            return "mlp" + layer + "@" + token;
        }
    }

    /** The embedding of one token, {@code embedding@3}: where a path ends. */
    record Embedding(int token) implements Step {
        @Override
        public Embedding at(int other) {
            return new Embedding(other);
        }

        @Override
        public String toString() {
            return "embedding@" + token;
        }
    }
}
