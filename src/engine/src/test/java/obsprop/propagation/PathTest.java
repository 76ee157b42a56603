package obsprop.propagation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.testing.Golden;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PathTest {
    @Test
    void parses() {
        Path path = Path.parse("mlp2@-1 <= attn1.0@3<=embedding@3");
        assertEquals(List.of(new Step.Mlp(2, -1), Step.Heads.one(1, 0, 3), new Step.Embedding(3)), path.steps());
        assertEquals(path, Path.of(new Step.Mlp(2, -1)).then(Step.Heads.one(1, 0, 3)).then(new Step.Embedding(3)));
        assertEquals(List.of(Step.Heads.all(2, 5)), Path.parse(" attn2@5 ").steps());
        assertEquals(Path.parse("attn2@5"), Path.parse("attn2.*@5"));
        assertEquals(new Step.Heads(2, List.of(0, 3), 5), Path.parse("attn2.0+3@5").steps().getFirst());
        assertEquals(Path.OUTPUT, Path.parse("output"));
    }

    @Test
    void textRoundTrip() {
        Random random = new Random(1);
        for (int n = 0; n < 300; n++) {
            List<Step> steps = new ArrayList<>();
            for (int i = random.nextInt(6); i > 0; i--) {
                int token = random.nextInt(40) - 10;
                int layer = random.nextInt(30);
                steps.add(switch (random.nextInt(4)) {
                    case 0 -> new Step.Mlp(layer, token);
                    case 1 -> new Step.Embedding(token);
                    case 2 -> Step.Heads.all(layer, token);
                    default -> new Step.Heads(layer, random.ints(0, 99).distinct().limit(1 + random.nextInt(3))
                            .boxed().toList(), token);
                });
            }
            Path path = new Path(steps);
            assertEquals(path, Path.parse(path.toString()));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "", " ", "<=", "mlp2@-1 <=", "<= mlp2@-1", "mlp2", "mlp@1", "attn1.@1", "attn1.0+@1", "attn1.0+*@1", "attn1.-1@1",
        "attn1.0@", "attn1.0@x", "embedding2@1", "embedding", "mlp2.0@1", "mlp2@1 < mlp1@1", "mlp2@1 => mlp1@1",
        "attn1.0,2@1", "Attn1.0@1", "mlp2@--1", "mlp99999999999@1", "attn1.0+0@1", "mlp1@1\nmlp0@1", "output <= mlp0@1"
    })
    void refusesJunk(String text) {
        var refusal = assertThrows(IllegalArgumentException.class, () -> Path.parse(text));
        assertFalse(refusal.getMessage().contains("\n"), refusal.getMessage());
        assertTrue(refusal.getMessage().startsWith("path \""), refusal.getMessage());
        assertTrue(refusal.getMessage().contains("step "), refusal.getMessage());
    }

    @Test
    void saysWhichStepIsWrong() {
        var refusal = assertThrows(IllegalArgumentException.class, () -> Path.parse("mlp2@-1 <= attn1.0"));
        assertTrue(refusal.getMessage().contains("step 2, \"attn1.0\""), refusal.getMessage());
        assertTrue(refusal.getMessage().contains("@T, is needed"), refusal.getMessage());
    }

    @ParameterizedTest
    @CsvSource({
        "gpt2, mlp1@-1 <= attn1.0@3 <= mlp0@3 <= embedding@3, mlp1@21 <= attn1.0@3 <= mlp0@3 <= embedding@3",
        "gpt2, output, output",
        "gpt2, embedding@-1, embedding@21",
        "gpt2, attn1.*@-22 <= attn0.0+1@0, attn1.*@0 <= attn0.0+1@0",
        "gptj, attn1.0@3 <= mlp0@3, attn1.0@3 <= mlp0@3",
        "gptj, mlp1@-1 <= attn0.1@4, mlp1@21 <= attn0.1@4",
    })
    void legal(String fixture, String text, String resolved) {
        onModel(fixture, model -> assertEquals(resolved, Path.parse(text).resolve(model, 22).toString()));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "gpt2        | mlp99@-1                   | step 1 | no layer 99",
        "gpt2        | attn0.77@-1                | step 1 | no head 77",
        "gpt2        | mlp0@-1 <= mlp1@-1         | step 2 | does not come before",
        "gpt2        | mlp0@-1 <= mlp0@-1         | step 2 | does not come before",
        "gpt2        | attn0.0@3 <= mlp0@3        | step 2 | does not come before",
        "gpt2        | embedding@-1 <= mlp0@-1    | step 1 | must be the last step",
        "gpt2        | mlp1@3                     | step 1 | but the observable reads token 21",
        "gpt2        | attn1.0@3 <= mlp0@4        | step 2 | but attn1.0@3 reads token 3",
        "gpt2        | attn1.0@3 <= embedding@2   | step 2 | but attn1.0@3 reads token 3",
        "gpt2        | attn1.0@3 <= attn0.0@4     | step 2 | causal",
        "gpt2        | attn1.0@22                 | step 1 | the prompt has 22 tokens",
        "gpt2        | attn1.0@-23                | step 1 | the prompt has 22 tokens",
        "gptj        | mlp1@-1 <= attn1.0@3       | step 2 | in parallel",
        "gptj        | attn1.0@3 <= mlp1@3        | step 2 | in parallel",
        "opt-postnorm| mlp0@-1                    | path   | normalises the residual stream itself",
    })
    void illegal(String fixture, String text, String where, String why) {
        onModel(fixture, model -> {
            Path path = Path.parse(text);
            var refusal = assertThrows(IllegalArgumentException.class, () -> path.resolve(model, 22));
            assertTrue(refusal.getMessage().contains(where), refusal.getMessage());
            assertTrue(refusal.getMessage().contains(why), refusal.getMessage());
            assertFalse(refusal.getMessage().contains("\n"), refusal.getMessage());
        });
    }

    @Test
    void tokensOutsideOfTheWindowAreIllegal() {
        int tokens = Golden.tokens("gpt_neo");
        onModel("gpt_neo", model -> {
            int local = IntStream.range(0, model.config().nLayers())
                    .filter(l -> model.block(l).attention().spec().firstKey(tokens - 1) > 0).findFirst().orElseThrow();
            Path path = Path.of(Step.Heads.one(local, 0, 0));
            var refusal = assertThrows(IllegalArgumentException.class, () -> path.resolve(model, tokens));
            assertTrue(refusal.getMessage().contains("step 1") && refusal.getMessage().contains("window"), refusal.getMessage());
        });
    }

    private static void onModel(String fixture, java.util.function.Consumer<Transformer> test) {
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(Golden.open(fixture, arena).directory(), ScalarKernels.float32())) {
            test.accept(model);
        }
    }
}
