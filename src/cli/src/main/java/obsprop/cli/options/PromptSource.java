package obsprop.cli.options;

import java.util.List;
import java.util.Optional;
import obsprop.cli.UsageException;
import obsprop.cli.tokens.Prompt;
import obsprop.cli.tokens.Vocabulary;

/** Two options of which exactly one gives a prompt: as text, or as token ids. */
record PromptSource(String textOption, Optional<String> text, String idsOption, Optional<String> ids) {
    /** Cuts a text into tokens. */
    interface Encoder {
        List<Vocabulary.Piece> encode(Vocabulary vocabulary, String text);
    }

    Prompt resolve(Vocabulary vocabulary, int context, Encoder encoder) {
        if (text.isPresent() && ids.isPresent()) {
            throw new UsageException(textOption + " and " + idsOption + " both give the prompt: leave one of them out");
        }
        Optional<Prompt> fromText = text.map(given ->
                Prompt.ofPieces(encoder.encode(vocabulary, given), textOption, vocabulary).fitting(context, textOption));
        return fromText.or(() -> ids.map(given -> Prompt.ofIds(given, idsOption, vocabulary).fitting(context, idsOption)))
                .orElseThrow(() -> new UsageException(
                        "no prompt given: use " + textOption + " TEXT or " + idsOption + " 1,2,3"));
    }
}
