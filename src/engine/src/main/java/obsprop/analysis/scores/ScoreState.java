package obsprop.analysis.scores;

import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.CRC32C;

/** All that a scoring run has found so far, and how far it has come. */
public final class ScoreState {
    private final List<VectorScores> vectors;
    private final List<PairScores> pairs;
    private long windows;
    private long tokens;
    private long digest;

    ScoreState(int vectors, List<PairScores.Pair> pairs, ScoreOptions options) {
        this.vectors = Stream.generate(() -> new VectorScores(options)).limit(vectors).toList();
        this.pairs = pairs.stream().map(p -> new PairScores(p, options)).toList();
    }

    /** Takes in a batch: scores [rows][K] of its windows, one after the other. */
    void add(List<Window> batch, double[][] scores) {
        int row = 0;
        for (Window window : batch) {
            for (int i = window.firstScored(); i < window.length(); i++) {
                for (int k = 0; k < vectors.size(); k++) {
                    vectors.get(k).add(window, i, scores[row + i][k]);
                }
            }
            for (PairScores pair : pairs) {
                pair.add(windows, window, scores, row);
            }
            row += window.length();
            windows++;
            tokens += window.length() - window.firstScored();
            digest = digest(digest, window);
        }
    }

    /** Chains the digest of the windows before with that of one more. */
    static long digest(long before, Window window) {
        ByteBuffer bytes = ByteBuffer.allocate(8 + 4 + 4 * window.length());
        bytes.putLong(before).putInt(window.firstScored());
        bytes.asIntBuffer().put(window.tokenIds());
        CRC32C crc = new CRC32C();
        crc.update(bytes.array());
        return crc.getValue();
    }

    /** In the order in which the vectors were given. */
    public List<VectorScores> vectors() {
        return vectors;
    }

    public List<PairScores> pairs() {
        return pairs;
    }

    /** Number of windows done. */
    public long windows() {
        return windows;
    }

    /** Number of tokens scored. */
    public long tokens() {
        return tokens;
    }

    /** Of all windows done. */
    long digest() {
        return digest;
    }

    void write(DataOutput out) throws IOException {
        out.writeLong(windows);
        out.writeLong(tokens);
        out.writeLong(digest);
        for (VectorScores v : vectors) {
            v.write(out);
        }
        for (PairScores p : pairs) {
            p.write(out);
        }
    }

    void read(DataInput in) throws IOException {
        windows = in.readLong();
        tokens = in.readLong();
        digest = in.readLong();
        for (VectorScores v : vectors) {
            v.read(in);
        }
        for (PairScores p : pairs) {
            p.read(in);
        }
    }
}
