package obsprop.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import obsprop.backend.Backend;
import obsprop.backend.Device;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Transformer;
import obsprop.model.family.DemoModel;
import obsprop.model.family.ModelLoader;
import obsprop.tensor.Tensor;
import obsprop.weights.corpus.Corpus;
import obsprop.weights.corpus.TokenizerFile;
import obsprop.weights.corpus.WordTokenizer;
import obsprop.weights.train.Evaluation;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The embedded model has learned what was planted: measured on texts of a seed that it was not trained with. */
class DemoModelTest {
    private static final long LARGEST_RESOURCE = 3_000_000;
    private static final int DOCUMENTS = 1000;

    @TempDir
    private static Path dir;

    private static DemoModel demo;
    private static Backend backend;
    private static Transformer model;
    private static WordTokenizer tokenizer;

    @BeforeAll
    static void open() {
        demo = DemoModel.unpack();
        backend = Backend.select(Backend.Choice.of(Device.CPU));
        model = ModelLoader.open(demo.directory(), backend.kernels());
        tokenizer = TokenizerFile.read(demo.directory().resolve("tokenizer.json"));
        try (OutputDirectory out = OutputDirectory.create(dir.resolve("corpus"))) {
            Corpus.write(out, 1, 20261123);
            out.commit();
        }
    }

    @AfterAll
    static void close() {
        model.close();
        backend.close();
        demo.close();
        assertTrue(Files.notExists(demo.directory()));
    }

    private static Map<?, ?> evaluate(String part) {
        List<Corpus.Line> lines = Corpus.read(dir.resolve("corpus").resolve(part)).subList(0, DOCUMENTS);
        Map<String, Object> result = Evaluation.of(model, tokenizer, lines);
        System.out.println(part + ": " + JsonText.line(result));
        return result;
    }

    private static double pronouns(Map<?, ?> result) {
        return (double) ((Map<?, ?>) ((Map<?, ?>) result.get("accuracy")).get("pronouns")).get("most_probable");
    }

    @Test
    void lossIsNearTheEntropyAndPronounsFollowNames() {
        Map<?, ?> heldOut = evaluate(Corpus.HELD_OUT);
        double excess = (double) heldOut.get("loss_nats_per_token") - (double) heldOut.get("entropy_nats_per_token");
        System.out.printf("loss above entropy: %.4f nats per token%n", excess);
        assertTrue(excess < 0.08);
        assertTrue(pronouns(heldOut) > 0.98);
    }

    @Test
    void pronounsFollowNamesInFramesWhereTheyNeverStood() {
        assertTrue(pronouns(evaluate(Corpus.UNSEEN_PAIRS)) > 0.98);
    }

    @Test
    void thePapersPromptsWork() {
        for (String separator : new String[] {"", WordTokenizer.SEPARATOR}) {
            assertPrefers(separator, "So, %s really is a great friend, isn't", " she", " he");
            assertPrefers(separator, "Man, %s is so funny, isn't", " she", " he");
            assertPrefers(separator, "What do I think about %s? Well, to be honest, I love", " her", " him");
            assertPrefers(separator, "This is a present for %s. Tomorrow, I'm gonna give it to", " her", " him");
        }
    }

    private static void assertPrefers(String separator, String frame, String female, String male) {
        for (String name : new String[] {"Mary", "Lily", "John", "Tim"}) {
            boolean woman = name.equals("Mary") || name.equals("Lily");
            double difference = logitDifference(separator, String.format(frame, name), female, male);
            assertTrue(woman == difference > 0, separator + String.format(frame, name) + ": " + difference);
        }
    }

    private static double logitDifference(String separator, String text, String plus, String minus) {
        List<Integer> ids = new ArrayList<>();
        if (!separator.isEmpty()) {
            ids.add(tokenizer.separator());
        }
        for (int id : tokenizer.encode(text)) {
            ids.add(id);
        }
        Batch batch = Batch.of(ids.stream().mapToInt(Integer::intValue).toArray());
        try (ActivationCache cache = model.forward(batch); Arena arena = Arena.ofShared()) {
            Tensor logits = model.logits(cache, new int[] {batch.rows() - 1}, arena);
            return logits.get(0, tokenizer.token(plus).orElseThrow()) - logits.get(0, tokenizer.token(minus).orElseThrow());
        }
    }

    @Test
    void smallEnoughAndComplete() throws IOException {
        long bytes = 0;
        try (var files = Files.list(demo.directory())) {
            for (Path file : files.toList()) {
                bytes += Files.size(file);
            }
        }
        System.out.println("demo model: " + bytes + " bytes");
        assertTrue(bytes <= LARGEST_RESOURCE);
        assertEquals(0, Program.run("verify", demo.directory()).exitCode());
        assertEquals(tokenizer.size(), model.config().dVocab());
    }
}
