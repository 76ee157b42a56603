package obsprop.cli.commands;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import obsprop.cli.Invocation;
import obsprop.cli.Shared;
import obsprop.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class HeadsCommandTest {
    static Stream<String> fixtures() {
        return Fixture.names();
    }

    @ParameterizedTest
    @MethodSource("fixtures")
    void agreesWithTheReference(String name) {
        Fixture fixture = Fixture.open(name);
        JsonNode document = Invocation.of("heads", "--json", "--model", fixture.directory().toString(),
                "--observable", fixture.observable()).json();
        assertEquals(name, document.get("model").asText());
        assertEquals(0, document.get("pairs").size());
        Tensor features = fixture.expected().tensor("ov_feature");
        JsonNode observable = document.get("observables").get(0);
        assertEquals("golden", observable.get("name").asText());
        List<double[]> expected = new ArrayList<>();
        for (JsonNode head : observable.get("heads")) {
            double[] feature = features.select(0, head.get("layer").asInt()).select(0, head.get("head").asInt()).toDoubles();
            expected.add(new double[] {Math.sqrt(dot(feature, feature)), head.get("norm").asDouble()});
        }
        assertEquals(features.size(0) * features.size(1), expected.size());
        Fixture.check(name + " heads", expected.stream().mapToDouble(pair -> pair[0]).toArray(),
                expected.stream().mapToDouble(pair -> pair[1]).toArray());
    }

    @Test
    void aPairHasCosineAndCouplingBothWays() {
        Fixture fixture = Fixture.open("gpt2");
        JsonNode document = Invocation.of("heads", "--json", "--model", fixture.directory().toString(),
                "--observable", "a=#1 - #2", "--observable", "b=2*#1 - 2*#2").json();
        assertEquals(List.of("a", "b"), document.get("observables").findValuesAsText("name"));
        assertEquals(1, document.get("pairs").size());
        JsonNode pair = document.get("pairs").get(0);
        assertEquals("a", pair.get("from").asText());
        assertEquals("b", pair.get("to").asText());
        for (JsonNode head : pair.get("heads")) {
            assertEquals(1, head.get("cosine").asDouble(), 1e-6);
            assertEquals(2, head.get("coupling").asDouble(), 1e-6);
            assertEquals(0.5, head.get("coupling_back").asDouble(), 1e-6);
        }
    }

    @Test
    void nullAddsPValues() {
        Fixture fixture = Fixture.open("gpt2");
        JsonNode document = Invocation.of("heads", "--json", "--model", fixture.directory().toString(), "--null", "9",
                "--observable", "a=#1 - #2", "--observable", "b=2*#1 - 2*#2").json();
        for (JsonNode head : document.get("observables").get(0).get("heads")) {
            double share = head.get("p").asDouble() * 10;
            assertEquals(Math.rint(share), share, 1e-9);
            assertTrue(share >= 1 && share <= 10, head.toString());
        }
        for (JsonNode head : document.get("pairs").get(0).get("heads")) {
            assertEquals(0.1, head.get("p").asDouble(), 1e-9, "no draw is as parallel as a multiple");
        }
    }

    @Test
    void gainsOfNormsChangeTheTable() {
        Fixture fixture = Fixture.open("llama");
        List<Double> none = norms(fixture, "none");
        List<Double> gains = norms(fixture, "weight-only");
        assertEquals(none.size(), gains.size());
        // One head's norm may be the same by chance.
        long changed = IntStream.range(0, none.size()).filter(i -> Math.abs(none.get(i) - gains.get(i)) > 1e-4).count();
        assertTrue(2 * changed > none.size(), changed + " of " + none.size());
    }

    @Test
    void showsTheStoryModelsHeads() {
        Invocation run = Invocation.of("heads", "--model", Shared.path("models/stories260k").toString(),
                "--observable", "\"\u2581she\" - \"\u2581he\"");
        assertEquals("", run.err());
        assertTrue(run.out().startsWith("""
                observable      token    id  weight
                "\u2581she" - "\u2581he"  "\u2581she"  358       1
                                "\u2581he"   281      -1
                """), run.out());
        assertTrue(run.out().contains("largest: L4H0 1.4518, L4H2 1.3850, L4H1 0.5129, L2H6 0.4429"), run.out());
    }

    @Test
    void badInputIsTwo() {
        String model = Fixture.open("gpt2").directory().toString();
        for (List<String> wrong : List.of(List.of("heads", "--model", model),
                List.of("heads", "--model", model, "--observable", "#999999"),
                List.of("heads", "--model", model, "--observable", "\"she\""),
                List.of("heads", "--model", model + "/nowhere", "--observable", "#1"),
                List.of("heads", "--model", model, "--observable", "#1", "--norm", "paper"),
                List.of("heads", "--model", Fixture.open("opt-postnorm").directory().toString(), "--observable", "#1",
                        "--norm", "weight-only"))) {
            Invocation run = Invocation.of(wrong.toArray(String[]::new));
            assertEquals(2, run.code(), wrong.toString());
            assertEquals("", run.out());
            assertTrue(run.err().matches("obsprop: .+\\n"), run.err());
        }
    }

    private static List<Double> norms(Fixture fixture, String rule) {
        JsonNode document = Invocation.of("heads", "--json", "--model", fixture.directory().toString(),
                "--observable", "#1 - #2", "--norm", rule).json();
        assertEquals(rule, document.get("norm").asText());
        return document.findValues("norm").stream().filter(JsonNode::isNumber).map(JsonNode::asDouble).toList();
    }

    private static double dot(double[] a, double[] b) {
        return IntStream.range(0, a.length).mapToDouble(i -> a[i] * b[i]).sum();
    }
}
