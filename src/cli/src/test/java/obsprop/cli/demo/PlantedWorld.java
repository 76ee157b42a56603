package obsprop.cli.demo;

import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import obsprop.analysis.scores.ScoredVector;
import obsprop.backend.Backend;
import obsprop.backend.Device;
import obsprop.kernel.NormRule;
import obsprop.model.Transformer;
import obsprop.model.family.DemoModel;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.FeatureVector;
import obsprop.propagation.Observable;
import obsprop.propagation.Path;
import obsprop.propagation.path.PathPropagator;
import obsprop.propagation.path.PathRules;
import obsprop.propagation.path.Runs;
import obsprop.tensor.io.Json;
import obsprop.weights.corpus.Document;
import obsprop.weights.corpus.Gender;
import obsprop.weights.corpus.Generator;
import obsprop.weights.corpus.Part;
import obsprop.weights.corpus.TokenizerFile;
import obsprop.weights.corpus.WordTokenizer;

/** The demo model, texts as it was trained on, and what was planted in them. */
final class PlantedWorld implements AutoCloseable {
    private final DemoModel demo = DemoModel.unpack();
    private final Backend backend = Backend.select(Backend.Choice.of(Device.CPU));
    private final Transformer model = ModelLoader.open(demo.directory(), backend.kernels());
    private final WordTokenizer tokenizer = TokenizerFile.read(demo.directory().resolve("tokenizer.json"));
    private final Json statistics = Json.read(demo.directory().resolve("statistics.json"), Json.Dialect.STRICT);

    Transformer model() {
        return model;
    }

    int heads() {
        return model.config().nLayers() * model.config().nHeads();
    }

    /** Documents without end; the seed is to be another than that of training. */
    Stream<Document> documents(Part part, long seed) {
        return Stream.generate(new Generator(part, seed)::next);
    }

    /** The text after a separator, as documents stand in training. */
    int[] tokens(String text) {
        int[] ids = tokenizer.encode(text);
        int[] tokens = new int[ids.length + 1];
        tokens[0] = tokenizer.separator();
        System.arraycopy(ids, 0, tokens, 1, ids.length);
        return tokens;
    }

    /** A document up to its first cue. */
    static String prompt(Document document) {
        return document.text().substring(0, document.cues().getFirst().offset());
    }

    int token(String text) {
        return tokenizer.token(text).orElseThrow();
    }

    Observable difference(String plus, String minus) {
        return Observable.difference(plus.strip() + "-" + minus.strip(), token(plus), token(minus));
    }

    /** An observable pulled back along a path of heads by the weights alone, gains of norms included. */
    ScoredVector vector(Observable n, String path) {
        FeatureVector y = new PathPropagator(model, "demo")
                .propagate(n, Path.parse(path), PathRules.of(NormRule.WEIGHT_ONLY), Runs.NONE).feature();
        return new ScoredVector(n.name() + " " + path, y.site().layer(), y.site().point(), y.direction());
    }

    List<String> names(Gender gender) {
        return ((Json.Arr) at("names", gender == Gender.FEMALE ? "female" : "male")).items().stream()
                .map(name -> ((Json.Str) name).value()).toList();
    }

    /** The occupations in {@code statistics.json}. */
    List<String> occupations() {
        return List.copyOf(((Json.Obj) at("planted", "occupations")).members().keySet());
    }

    /** The share of women that was planted in an occupation. */
    double plantedShare(String occupation) {
        return Double.parseDouble(
                ((Json.Num) at("planted", "occupations", occupation, "planted_female_share")).text());
    }

    private Json at(String... keys) {
        Json json = statistics;
        for (String key : keys) {
            Map<String, Json> fields = ((Json.Obj) json).members();
            json = fields.get(key);
        }
        return json;
    }

    @Override
    public void close() {
        model.close();
        backend.close();
        demo.close();
    }
}
