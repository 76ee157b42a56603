package obsprop.cli.commands.measure;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.concurrent.Callable;
import obsprop.analysis.lens.Lens;
import obsprop.cli.commands.Numbers;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.Count;
import obsprop.cli.options.NamedVector;
import obsprop.cli.options.VectorOptions;
import obsprop.cli.options.Choice;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table;
import obsprop.cli.output.Table.Column;
import obsprop.cli.session.Session;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The tokens that vectors point at. */
@Command(name = "lens", mixinStandardHelpOptions = true, sortOptions = false,
        description = "The tokens whose unembedding (or embedding) aligns most with a vector, and with its opposite.")
public final class LensCommand implements Callable<Report> {
    @Mixin
    private CommonOptions common;

    @Mixin
    private VectorOptions vectors;

    @Option(names = "--side", paramLabel = "WHICH", defaultValue = "unembedding", converter = SideConverter.class,
            description = "unembedding or embedding (default: ${DEFAULT-VALUE})")
    private Lens.Side side;

    @Option(names = "--by", paramLabel = "MEASURE", defaultValue = "dot", converter = MeasureConverter.class,
            description = "rank by dot or cosine (default: ${DEFAULT-VALUE})")
    private Lens.Measure measure;

    @Option(names = {"-k", "--top"}, paramLabel = "N", defaultValue = "10", description = "how many tokens (default: ${DEFAULT-VALUE})")
    private int k;

    /** Reads {@link Lens.Side}. */
    static final class SideConverter extends Choice<Lens.Side> {
        SideConverter() {
            super(Lens.Side.values());
        }
    }

    /** Reads {@link Lens.Measure}. */
    static final class MeasureConverter extends Choice<Lens.Measure> {
        MeasureConverter() {
            super(Lens.Measure.values());
        }
    }

    @Override
    public Report call() {
        Count.atLeastOne("--top", k);
        try (Session session = common.open()) {
            Lens lens = new Lens(session.model(), side);
            List<Seen> seen = vectors.all(session, common).stream().map(vector -> seen(vector, lens, session)).toList();
            return new LensReport(session.name(), Choice.label(side), Choice.label(measure), seen);
        }
    }

    private Seen seen(NamedVector vector, Lens lens, Session session) {
        List<Lens.Alignment> all = lens.alignments(vector.direction());
        session.requireFinite("a token's alignment", all.stream().mapToDouble(Lens.Alignment::dot).toArray());
        return new Seen(vector, named(Lens.top(all, measure, k), session), named(Lens.bottom(all, measure, k), session));
    }

    private static List<Token> named(List<Lens.Alignment> alignments, Session session) {
        return alignments.stream().map(a -> new Token(a, session.vocabulary().text(a.token()))).toList();
    }

    /** A token and its text. */
    private record Token(Lens.Alignment alignment, String text) {
        ObjectNode json() {
            return Json.object().put("token", alignment.token()).put("text", text).put("dot", alignment.dot())
                    .put("cosine", alignment.cosine());
        }
    }

    /** A vector and the tokens it points at and away from. */
    private record Seen(NamedVector vector, List<Token> top, List<Token> bottom) {
    }

    /** What {@code lens} found. */
    private record LensReport(String model, String side, String measure, List<Seen> vectors) implements Report {
        @Override
        public JsonNode json() {
            ObjectNode document = Json.object().put("model", model).put("side", side).put("by", measure);
            document.set("vectors", Json.array(vectors, seen -> {
                ObjectNode object = VectorView.json(seen.vector);
                object.set("top", Json.array(seen.top, Token::json));
                object.set("bottom", Json.array(seen.bottom, Token::json));
                return object;
            }));
            return document;
        }

        @Override
        public String text() {
            StringBuilder text = new StringBuilder();
            for (Seen seen : vectors) {
                Table table = new Table(Column.text("towards"), Column.number("dot"), Column.number("cosine"),
                        Column.text("away from"), Column.number("dot"), Column.number("cosine"));
                for (int i = 0; i < seen.top.size(); i++) {
                    Token top = seen.top.get(i);
                    Token bottom = seen.bottom.get(i);
                    table.row('"' + top.text + '"', Numbers.fixed(top.alignment.dot()), Numbers.fixed(top.alignment.cosine()),
                            '"' + bottom.text + '"', Numbers.fixed(bottom.alignment.dot()), Numbers.fixed(bottom.alignment.cosine()));
                }
                text.append(text.isEmpty() ? "" : "\n").append(seen.vector.name()).append(" at ").append(seen.vector.site())
                        .append(", ").append(side).append("s by ").append(measure).append("\n").append(table);
            }
            return text.toString();
        }
    }
}
