package obsprop.analysis.scores;

import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;

/**
 * A token with its score and the tokens around it.
 *
 * @param position of the token in its document
 * @param context tokens of the window around it, itself included
 * @param at where in the context it stands
 */
public record ScoredToken(double score, long document, int position, int[] context, int at) {
    public int token() {
        return context[at];
    }

    void write(DataOutput out) throws IOException {
        out.writeDouble(score);
        out.writeLong(document);
        out.writeInt(position);
        out.writeInt(at);
        out.writeInt(context.length);
        for (int id : context) {
            out.writeInt(id);
        }
    }

    static ScoredToken read(DataInput in) throws IOException {
        double score = in.readDouble();
        long document = in.readLong();
        int position = in.readInt();
        int at = in.readInt();
        int[] context = new int[in.readInt()];
        for (int i = 0; i < context.length; i++) {
            context[i] = in.readInt();
        }
        return new ScoredToken(score, document, position, context, at);
    }
}
