package obsprop.cli.commands.measure;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;
import obsprop.cli.Invocation;
import obsprop.cli.Shared;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.tensor.io.SafetensorsWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the commands find in a real model of stories: who is "she". */
class StoryTest {
    private static final String SUBJECT = "subject=\"\u2581she\" - \"\u2581he\"";
    private static final String OBJECT = "object=\"\u2581her\" - \"\u2581his\"";

    @TempDir
    private Path folder;

    private static String model() {
        return Shared.path("models/stories260k").toString();
    }

    @Test
    void steeringFlipsThePronoun() {
        JsonNode document = Invocation.of("steer", "--json", "--model", model(), "--observable", SUBJECT, "--site", "residual5@-1",
                "--prompt", "Lily was sad because", "--add", "-4").json();
        JsonNode observable = document.get("observables").get(0);
        assertEquals(3.19, observable.get("before").asDouble(), 0.01);
        assertTrue(observable.get("after").asDouble() < 0, observable.toString());
        assertEquals("\u2581she", document.get("before").get(0).get("text").asText());
        assertEquals("\u2581he", document.get("after").get(0).get("text").asText());
        assertTrue(document.get("kl").asDouble() > 0.1);
    }

    /** At an early layer the names are exchanged along one direction: the difference of the two prompts' streams. */
    @Test
    void pairwisePatchOfTheNameFlipsThePronoun() {
        Path vector = folder.resolve("name.safetensors");
        JsonNode document = pairwise(vector, "1");
        assertEquals(3.19, document.get("observables").get(0).get("before").asDouble(), 0.01);
        assertEquals(-4.70, document.get("observables").get(0).get("after").asDouble(), 0.01);
        JsonNode none = pairwise(vector, "0");
        assertEquals(0, none.get("kl").asDouble(), 1e-6);
    }

    private JsonNode pairwise(Path vector, String factor) {
        writeDifferenceOfNames(vector);
        return Invocation.of("steer", "--json", "--model", model(), "--vector", vector.toString(), "--observable", SUBJECT,
                "--prompt", "Lily was sad because", "--corrupted", "Tim was sad because", "--pairwise", "--factor", factor,
                "--positions", "0").json();
    }

    /** From two traces: what enters the first block at the name. */
    private void writeDifferenceOfNames(Path file) {
        float[] lily = entering("Lily was sad because");
        float[] tim = entering("Tim was sad because");
        float[] difference = new float[lily.length];
        for (int i = 0; i < lily.length; i++) {
            difference[i] = lily[i] - tim[i];
        }
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsWriter.write(file, Map.of("feature", Tensor.ofFloats(arena, difference, difference.length)),
                    Map.of("site", "residual0@0", "model", "stories260k"));
        }
    }

    private float[] entering(String prompt) {
        Path file = folder.resolve("trace.safetensors");
        Invocation.of("trace", "--json", "--model", model(), "--prompt", prompt, "--observable", SUBJECT, "--out", file.toString())
                .json();
        try (Arena arena = Arena.ofConfined()) {
            return SafetensorsFile.open(file, arena).tensor("residual").select(0, 0).select(0, 0).toFloats();
        }
    }

    @Test
    void scoresOfThePronounDirectionAreHighWhereSheIsExpected() throws IOException {
        Path stories = folder.resolve("stories.txt");
        Files.writeString(stories, """
                Lily was sad because she lost her toy. Lily was happy when she found it.
                Tim was sad because he lost his ball. Tim was happy when he found it.
                """);
        JsonNode document = Invocation.of("score", "--json", "--model", model(), "--observable", SUBJECT, "--text", stories.toString(),
                "-k", "3").json();
        assertEquals(3, document.get("top").size());
        assertTrue(document.get("top").get(0).get("context").asText().contains("Lily was sad because she"), document.toString());
        assertTrue(document.get("bottom").get(0).get("context").asText().contains("Tim was"), document.get("bottom").toString());
        assertEquals(1, document.get("bottom").get(0).get("document").asInt());
        assertTrue(document.get("top").get(0).get("score").asDouble() >= document.get("top").get(1).get("score").asDouble());
        long counted = StreamSupport.stream(document.get("vectors").get(0).get("histogram").spliterator(), false)
                .mapToLong(bin -> bin.get("count").asLong()).sum();
        assertEquals(document.get("tokens").asLong(), counted);
    }

    @Test
    void subjectAndObjectPronounsGoTogether() throws IOException {
        Path stories = folder.resolve("stories.jsonl");
        StringBuilder lines = new StringBuilder();
        for (String name : List.of("Lily", "Tim", "Mia", "Ben", "Anna", "Tom", "Sue", "Max")) {
            lines.append("{\"story\": \"").append(name).append(" went to the park. ").append(name)
                    .append(" saw a big dog and was very happy.\"}\n");
        }
        Files.writeString(stories, lines);
        JsonNode document = Invocation.of("compare", "--json", "--model", model(), "--observable", SUBJECT, "--observable", OBJECT,
                "--text", stories.toString(), "--field", "story", "--given", "1", "--radius", "8").json();
        JsonNode pair = document.get("pairs").get(0);
        assertEquals("subject", pair.get("from").asText());
        assertEquals("object", pair.get("to").asText());
        double cosine = pair.get("cosine").asDouble();
        assertEquals(cosine * cosine, pair.get("predicted_r2").asDouble(), 1e-9);
        assertTrue(cosine > 0.2 && pair.get("slope").asDouble() > 0 && pair.get("r2").asDouble() > 0, pair.toString());
        JsonNode interval = pair.get("slope_interval");
        assertTrue(interval.get(0).asDouble() <= pair.get("slope").asDouble()
                && pair.get("slope").asDouble() <= interval.get(1).asDouble(), pair.toString());
        assertEquals(pair.get("coupling").asDouble(), pair.get("prediction").get("mean").asDouble(), 1e-12);
        assertEquals("object", document.get("pairs").get(1).get("from").asText());
    }

    @Test
    void lensSeesTheTokensOfTheObservable() {
        JsonNode document = Invocation.of("lens", "--json", "--model", model(), "--observable", SUBJECT, "-k", "3").json();
        assertEquals("\u2581she", document.get("vectors").get(0).get("top").get(0).get("text").asText());
        assertEquals("\u2581he", document.get("vectors").get(0).get("bottom").get(0).get("text").asText());
    }

    /** On a fifth of the snippets, as tests share their machine. */
    @Test
    void probeOfCodeRunsEndToEnd() throws IOException {
        Path snippets = folder.resolve("snippets.jsonl");
        List<String> all = Files.readAllLines(Shared.path("data/code-c-vs-python/snippets.jsonl"));
        Files.write(snippets, IntStream.range(0, all.size()).filter(i -> i % 5 == 0).mapToObj(all::get).toList());
        JsonNode document = Invocation.of("probe", "--json", "--model", model(), "--observable", SUBJECT, "--site", "residual3@-1",
                "--text", snippets.toString(), "--positive", "c", "--window", "48", "--train", "15", "--replicates", "200").json();
        JsonNode probe = document.get("probes").get(0);
        assertEquals("python", document.get("negative").get(0).asText());
        assertEquals(30, probe.get("trained").asInt());
        assertEquals(80, 30 + probe.get("test_positive").asInt() + probe.get("test_negative").asInt());
        for (String name : List.of("vector", "logistic_regression", "difference_of_means")) {
            JsonNode judged = probe.get(name);
            double auc = judged.get("auc").asDouble();
            System.out.println("probe of code, " + name + ": AUC " + auc + " " + judged.get("interval"));
            assertEquals(auc(judged.get("positive_scores"), judged.get("negative_scores")), auc, 1e-12);
            assertTrue(judged.get("interval").get(0).asDouble() <= auc && auc <= judged.get("interval").get(1).asDouble());
        }
    }

    /** By definition: the share of pairs in which the positive example scores higher. */
    private static double auc(JsonNode positive, JsonNode negative) {
        double won = 0;
        for (JsonNode high : positive) {
            for (JsonNode low : negative) {
                won += high.asDouble() > low.asDouble() ? 1 : high.asDouble() == low.asDouble() ? 0.5 : 0;
            }
        }
        return won / ((double) positive.size() * negative.size());
    }

    /** Two classes of texts that the residual stream tells apart well. */
    @Test
    void probeFindsGirlsAndBoys() throws IOException {
        Path names = folder.resolve("names.jsonl");
        StringBuilder lines = new StringBuilder();
        for (String rest : List.of("was sad because", "was happy because", "went home and", "saw a dog. Then", "said that",
                "likes to play so", "was tired but", "ran fast until")) {
            lines.append("{\"text\": \"Lily ").append(rest).append("\", \"who\": \"girl\"}\n");
            lines.append("{\"text\": \"Tim ").append(rest).append("\", \"who\": \"boy\"}\n");
        }
        Files.writeString(names, lines);
        JsonNode probe = Invocation.of("probe", "--json", "--model", model(), "--observable", SUBJECT, "--text", names.toString(),
                "--label-field", "who", "--positive", "girl", "--train", "3", "--pool", "last").json().get("probes").get(0);
        assertTrue(probe.get("vector").get("auc").asDouble() > 0.9, probe.toString());
        assertTrue(probe.get("logistic_regression").get("auc").asDouble() > 0.8, probe.toString());
        assertEquals(5, probe.get("vector").get("positive_scores").size());
        assertTrue(probe.get("difference_of_means").get("cosine").asDouble() > 0, probe.toString());
    }

    @Test
    void normsOfTheStories() throws IOException {
        Path girls = folder.resolve("girls.txt");
        Path boys = folder.resolve("boys.txt");
        Files.writeString(girls, "Lily was sad because\nMia was happy because\n");
        Files.writeString(boys, "Tim was sad because\nBen was happy because\n");
        JsonNode document = Invocation.of("norms", "--json", "--model", model(), "--text", girls.toString(), "--text", boys.toString(),
                "--observable", SUBJECT).json();
        assertEquals(11, document.get("norms").size());
        assertEquals("final", document.get("norms").get(10).get("site").asText());
        JsonNode rules = document.get("errors").get(0).get("rules");
        assertEquals(4, rules.size());
        for (JsonNode rule : rules) {
            assertEquals(4, rule.get("cross").size());
        }
        assertEquals(2 * Math.acos(Math.sqrt(1 - 1.0 / 63)), document.get("angle_bound").asDouble(), 1e-12);
    }
}
