package obsprop.cli.commands.measure;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import obsprop.cli.UsageException;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.TextOptions;
import obsprop.cli.session.Session;
import obsprop.cli.texts.Document;
import obsprop.cli.texts.LabelField;
import obsprop.cli.texts.Texts;

/**
 * Labelled texts as tokens, each cut to one window.
 *
 * @param cut how many were longer
 */
record LabelledTexts(List<int[]> tokens, List<String> labels, int cut) {
    /** Reads all texts; those without a token are left out with a note. */
    static LabelledTexts read(TextOptions options, String labelField, Session session, CommonOptions common) {
        List<int[]> tokens = new ArrayList<>();
        List<String> labels = new ArrayList<>();
        int cut = 0;
        try (Texts texts = options.open(options.files(), Optional.of(new LabelField(labelField, "--label-field")), common)) {
            while (texts.hasNext()) {
                Document document = texts.next();
                TextOptions.Cut window = options.firstWindow(document, session, common);
                if (window.ids().length == 0) {
                    common.note(document.file() + ", line " + document.line() + ": the text has no token: skipped");
                    continue;
                }
                cut += window.shortened() ? 1 : 0;
                tokens.add(window.ids());
                labels.add(document.label().orElseThrow());
            }
        }
        if (tokens.isEmpty()) {
            throw new UsageException("the texts hold no labelled example: give a .jsonl file with --text");
        }
        return new LabelledTexts(tokens, labels, cut);
    }

    /** The labels that occur, in the order of their first mention. */
    List<String> classes() {
        return labels.stream().distinct().toList();
    }
}
