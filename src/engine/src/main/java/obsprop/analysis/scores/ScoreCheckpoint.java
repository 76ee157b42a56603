package obsprop.analysis.scores;

import java.io.BufferedOutputStream;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.CRC32C;
import java.util.zip.CheckedOutputStream;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.Unfinished;

/**
 * A file from which a scoring run goes on where it was killed. Written to a temporary file beside it, forced to the disk
 * and renamed, so that it is always absent, old or complete; a checksum guards against damage.
 *
 * @param fingerprint of everything that the state depends on besides the texts
 */
record ScoreCheckpoint(Path file, String fingerprint) {
    private static final long MAGIC = 0x6f62732d73637231L;
    private static final int CHECKSUM_BYTES = 8;

    /** Replaces the file. */
    void save(ScoreState state) {
        try (Unfinished temporary = Unfinished.beside(file)) {
            write(temporary.path(), state);
            temporary.moveTo(file);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write the checkpoint " + file + ": " + e.getMessage(), e);
        }
    }

    private void write(Path target, ScoreState state) throws IOException {
        try (var stream = new FileOutputStream(target.toFile());
                var checked = new CheckedOutputStream(new BufferedOutputStream(stream), new CRC32C());
                var out = new DataOutputStream(checked)) {
            out.writeLong(MAGIC);
            out.writeUTF(fingerprint);
            state.write(out);
            out.writeLong(checked.getChecksum().getValue());
            out.flush();
            stream.getFD().sync();
        }
    }

    /**
     * Fills a new state with what the file holds, if it exists.
     *
     * @throws FormatException if the file is damaged or belongs to another run
     */
    void restore(ScoreState state) {
        if (!Files.exists(file)) {
            return;
        }
        byte[] bytes = intact();
        try (var in = new DataInputStream(new ByteArrayInputStream(bytes))) {
            in.readLong();
            if (!in.readUTF().equals(fingerprint)) {
                throw FormatException.in(file, "is the checkpoint of a run with another model, other vectors or other options:"
                        + " delete it to start anew, or name another file");
            }
            state.read(in);
        } catch (IOException e) {
            throw damaged();
        }
    }

    private byte[] intact() {
        try {
            byte[] all = Files.readAllBytes(file);
            int length = all.length - CHECKSUM_BYTES;
            if (length < Long.BYTES || ByteBuffer.wrap(all).getLong() != MAGIC) {
                throw FormatException.in(file, "is not a checkpoint of scores");
            }
            CRC32C crc = new CRC32C();
            crc.update(all, 0, length);
            if (ByteBuffer.wrap(all).getLong(length) != crc.getValue()) {
                throw damaged();
            }
            return Arrays.copyOf(all, length);
        } catch (IOException e) {
            throw FormatException.unreadable(file, e);
        }
    }

    private FormatException damaged() {
        return FormatException.in(file, "is damaged: delete it to start anew");
    }
}
