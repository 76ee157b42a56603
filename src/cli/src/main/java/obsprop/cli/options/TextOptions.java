package obsprop.cli.options;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import obsprop.cli.UsageException;
import obsprop.cli.session.Session;
import obsprop.cli.texts.Document;
import obsprop.cli.texts.LabelField;
import obsprop.cli.texts.Malformed;
import obsprop.cli.texts.SampleBy;
import obsprop.cli.texts.Texts;
import obsprop.cli.texts.Windows;
import obsprop.cli.tokens.Vocabulary;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The texts that a command runs over, and how they are cut. */
public final class TextOptions {
    private static final int DEFAULT_WINDOW = 128;

    @Option(names = "--text", paramLabel = "FILE", description = "a .txt or .jsonl file; repeatable")
    private List<Path> files = new ArrayList<>();

    @Option(names = "--field", paramLabel = "NAME", defaultValue = "text",
            description = "the field of a JSON line that holds the text (default: ${DEFAULT-VALUE})")
    private String field;

    @Option(names = "--sample-by", paramLabel = "WHAT", defaultValue = "line", converter = SampleByConverter.class,
            description = "what a document of a .txt file is: line, paragraph (up to a blank line) or document, the whole file"
                    + " (default: ${DEFAULT-VALUE})")
    private SampleBy sampleBy;

    @Option(names = "--malformed", paramLabel = "WHAT", defaultValue = "fail", converter = MalformedConverter.class,
            description = "what happens at a line that cannot be read: fail or skip (default: ${DEFAULT-VALUE})")
    private Malformed malformed;

    @Option(names = "--window", paramLabel = "N",
            description = "documents are run in windows of N tokens (default: " + DEFAULT_WINDOW + ", or the model's context)")
    private Optional<Integer> window;

    @Option(names = "--stride", paramLabel = "N",
            description = "a window starts every N tokens, so that it shares the rest with its neighbour as context; each token"
                    + " is scored once (default: the window, no overlap)")
    private Optional<Integer> stride;

    @Mixin
    private SpecialTokens specialTokens;

    /** Reads {@link SampleBy}. */
    static final class SampleByConverter extends Choice<SampleBy> {
        SampleByConverter() {
            super(SampleBy.values());
        }
    }

    /** Reads {@link Malformed}. */
    static final class MalformedConverter extends Choice<Malformed> {
        MalformedConverter() {
            super(Malformed.values());
        }
    }

    /** Whether there are texts. */
    public boolean given() {
        return !files.isEmpty();
    }

    /** The files, at least one. */
    public List<Path> files() {
        if (files.isEmpty()) {
            throw new UsageException("no text given: name a .txt or .jsonl file with --text");
        }
        return files;
    }

    /** The size of all files. */
    public long bytes() {
        try {
            long sum = 0;
            for (Path file : files) {
                sum += Files.size(file);
            }
            return sum;
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read a text: " + e.getMessage(), e);
        }
    }

    /** The documents of {@code some} of the files. */
    public Texts open(List<Path> some, Optional<LabelField> labelField, CommonOptions common) {
        return new Texts(some, new Texts.Format(field, labelField, sampleBy, malformed), common::note);
    }

    /** The documents' windows. */
    public Windows windows(Texts texts, Session session, CommonOptions common) {
        int length = window(session);
        int step = stride.orElse(length);
        if (step < 1 || step > length) {
            throw new UsageException("--stride: " + step + " does not lie between 1 and the window of " + length);
        }
        return new Windows(texts, document -> tokens(document, session, common), length, step);
    }

    /** The length of a window. */
    public int window(Session session) {
        int context = session.config().maxPositions();
        int length = window.orElse(Math.min(DEFAULT_WINDOW, context));
        if (length < 1 || length > context) {
            throw new UsageException("--window: " + length + " tokens: give 1 to " + context + ", the model's context");
        }
        return length;
    }

    /** The beginning of a document, in tokens, and whether it has more. */
    public record Cut(int[] ids, boolean shortened) {
    }

    /** A document's tokens, cut to one window; maybe none. */
    public Cut firstWindow(Document document, Session session, CommonOptions common) {
        int[] ids = tokens(document, session, common);
        int length = window(session);
        return new Cut(Arrays.copyOf(ids, Math.min(ids.length, length)), ids.length > length);
    }

    private int[] tokens(Document document, Session session, CommonOptions common) {
        Vocabulary vocabulary = session.vocabulary();
        int[] ids = specialTokens.encode(vocabulary, document.text(), common).stream().mapToInt(Vocabulary.Piece::id).toArray();
        for (int id : ids) {
            if (id >= vocabulary.size()) {
                throw new UsageException(document.file() + ", line " + document.line() + ": the tokenizer makes the token #" + id
                        + ", but the model's ids end at " + (vocabulary.size() - 1) + ": the tokenizer.json is not this model's");
            }
        }
        return ids;
    }

    /** All that the windows of the texts depend on, in words. */
    public String identity(Session session) {
        return String.join("\n", field, sampleBy.toString(), malformed.toString(), Integer.toString(window(session)),
                stride.map(String::valueOf).orElse(""), Boolean.toString(specialTokens.added()));
    }
}
