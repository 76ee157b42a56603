package obsprop.kernel.cpu;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels.AttentionCotangents;
import obsprop.kernel.Kernels.AttentionSaved;
import obsprop.kernel.Segments;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import org.junit.jupiter.api.Test;

/** Attention goes by blocks of queries: what it holds beside its operands grows with the prompt, not with its square. */
final class LongPromptTest {
    private static final int WIDTH = 8;

    @Test
    void scratchGrowsLinearly() {
        long shorter = scratch(500);
        long longer = scratch(2000);
        System.out.println("scratch of attention: " + shorter + " bytes for 500 tokens, " + longer + " for 2000");
        assertTrue(longer <= 4.5 * shorter, longer + " bytes against " + shorter);
    }

    /** Bytes that one thread holds after attention and its VJP over a prompt of {@code tokens}. */
    private static long scratch(int tokens) {
        try (Arena arena = Arena.ofShared(); Workers workers = new Workers(1)) {
            Attention attention = new Attention(rows(arena, 0));
            var spec = new AttentionSpec(0.3, AttentionSpec.NO_WINDOW, AttentionSpec.NO_CAP);
            var segments = new Segments(tokens);
            var in = new AttentionSaved(rows(arena, tokens), rows(arena, tokens), rows(arena, tokens),
                    rows(arena, tokens), Tensor.allocate(arena, DType.F32, tokens, 1));
            var out = new AttentionCotangents(rows(arena, tokens), rows(arena, tokens), rows(arena, tokens));
            attention.run(workers, in.q(), in.k(), in.v(), in.lse(), spec, segments, in.z());
            attention.runVjp(workers, in.z(), in, spec, segments, AttentionRule.EXACT, out);
            long[] bytes = new long[1];
            workers.runInline((chunk, scratch) -> bytes[0] = scratch.bytes(), 1);
            return bytes[0];
        }
    }

    private static Tensor rows(Arena arena, int tokens) {
        return Tensor.allocate(arena, DType.F32, tokens, 1, WIDTH);
    }
}
