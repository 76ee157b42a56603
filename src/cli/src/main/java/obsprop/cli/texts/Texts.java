package obsprop.cli.texts;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.function.Consumer;
import obsprop.cli.UsageException;

/**
 * The documents of some files, read one at a time: {@code .jsonl} files hold one in a line, all others are plain text.
 * Blank lines hold none.
 */
public final class Texts implements Iterator<Document>, AutoCloseable {
    /**
     * How files are read.
     *
     * @param field of a JSON line that holds the text
     * @param labelField of a JSON line that holds its label, where labels are needed
     */
    public record Format(String field, Optional<LabelField> labelField, SampleBy sampleBy, Malformed malformed) {
    }

    private final Iterator<Path> files;
    private final Format format;
    private final Consumer<String> report;
    private final JsonLine json;
    private Path file = Path.of("");
    private Optional<LineReader> reader = Optional.empty();
    private Optional<Document> ahead = Optional.empty();
    private long documents;
    private long skipped;
    private long bytesOfClosedFiles;

    /**
     * Opens nothing yet.
     *
     * @param report hears of lines that are skipped
     * @throws UsageException if a file does not exist, or is not one
     */
    public Texts(List<Path> files, Format format, Consumer<String> report) {
        files.forEach(Texts::requireReadable);
        this.files = List.copyOf(files).iterator();
        this.format = format;
        this.report = report;
        json = new JsonLine(format.field(), format.labelField());
    }

    private static void requireReadable(Path file) {
        if (!Files.exists(file)) {
            throw new UsageException("there is no file " + file + ": name a .txt or .jsonl file");
        }
        if (Files.isDirectory(file) || !Files.isReadable(file)) {
            throw new UsageException(file + " is not a file that can be read: name a .txt or .jsonl file");
        }
    }

    /** Number of lines that were left out. */
    public long skipped() {
        return skipped;
    }

    /** Bytes read so far, of all files. */
    public long bytes() {
        return bytesOfClosedFiles + reader.map(LineReader::bytes).orElse(0L);
    }

    @Override
    public boolean hasNext() {
        try {
            while (ahead.isEmpty() && (reader.isPresent() || openNext())) {
                ahead = read(reader.get());
                if (ahead.isEmpty()) {
                    closeCurrent();
                }
            }
            return ahead.isPresent();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + file + ": " + e.getMessage(), e);
        }
    }

    @Override
    public Document next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        Document next = ahead.get();
        ahead = Optional.empty();
        return next;
    }

    private boolean openNext() throws IOException {
        if (!files.hasNext()) {
            return false;
        }
        file = files.next();
        reader = Optional.of(new LineReader(file));
        return true;
    }

    private void closeCurrent() throws IOException {
        bytesOfClosedFiles = bytes();
        LineReader current = reader.orElseThrow();
        reader = Optional.empty();
        current.close();
    }

    /** The next document of one file. */
    private Optional<Document> read(LineReader lines) throws IOException {
        boolean jsonLines = String.valueOf(file.getFileName()).endsWith(".jsonl");
        if (!jsonLines && format.labelField().isPresent()) {
            throw new UsageException(format.labelField().get().option() + ": " + file + " has no fields: only .jsonl files do");
        }
        StringBuilder text = new StringBuilder();
        long start = 0;
        for (;;) {
            Optional<String> line;
            try {
                line = lines.next();
            } catch (CharacterCodingException e) {
                malformed(lines.line(), "is not UTF-8");
                continue;
            }
            if (line.isEmpty()) {
                return text.toString().isBlank() ? Optional.empty() : Optional.of(document(text.toString(), start));
            }
            boolean blank = line.get().isBlank();
            if (jsonLines) {
                Optional<Document> parsed = blank ? Optional.empty() : parse(line.get(), lines.line());
                if (parsed.isPresent()) {
                    return parsed;
                }
            } else if (format.sampleBy() == SampleBy.LINE && !blank) {
                return Optional.of(document(line.get(), lines.line()));
            } else if (format.sampleBy() == SampleBy.PARAGRAPH && blank && !text.isEmpty()) {
                return Optional.of(document(text.toString(), start));
            } else if (format.sampleBy() == SampleBy.DOCUMENT || !blank) {
                start = text.isEmpty() ? lines.line() : start;
                text.append(text.isEmpty() ? "" : "\n").append(line.get());
            }
        }
    }

    private Document document(String text, long line) {
        return new Document(documents++, text, Optional.empty(), file, line);
    }

    private Optional<Document> parse(String line, long number) {
        try {
            JsonLine.Content content = json.parse(line);
            return Optional.of(new Document(documents++, content.text(), content.label(), file, number));
        } catch (JsonLine.Wrong e) {
            malformed(number, e.getMessage());
            return Optional.empty();
        }
    }

    private void malformed(long line, String what) {
        String message = file + ", line " + line + ": " + what;
        if (format.malformed() == Malformed.FAIL) {
            throw new UsageException(message + ": mend the line, or skip such lines with --malformed skip");
        }
        skipped++;
        report.accept(message + ": skipped");
    }

    @Override
    public void close() {
        try {
            if (reader.isPresent()) {
                closeCurrent();
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot close " + file + ": " + e.getMessage(), e);
        }
    }
}
