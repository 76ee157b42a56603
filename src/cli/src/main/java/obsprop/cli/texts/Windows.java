package obsprop.cli.texts;

import java.util.Iterator;
import java.util.List;
import obsprop.analysis.scores.Window;

/** The windows of documents, cut as they are read. */
public final class Windows implements Iterator<Window> {
    private final Iterator<Document> documents;
    private final Tokens tokens;
    private final int length;
    private final int stride;
    private Iterator<Window> current = List.<Window>of().iterator();

    /** Cuts a text into tokens. */
    public interface Tokens {
        /** The ids of {@code document}; maybe none. */
        int[] of(Document document);
    }

    /** Windows of at most {@code length} tokens every {@code stride} tokens; see {@link Window#cut}. */
    public Windows(Iterator<Document> documents, Tokens tokens, int length, int stride) {
        this.documents = documents;
        this.tokens = tokens;
        this.length = length;
        this.stride = stride;
    }

    @Override
    public boolean hasNext() {
        while (!current.hasNext() && documents.hasNext()) {
            Document document = documents.next();
            current = Window.cut(tokens.of(document), document.number(), length, stride).iterator();
        }
        return current.hasNext();
    }

    @Override
    public Window next() {
        hasNext();
        return current.next();
    }
}
