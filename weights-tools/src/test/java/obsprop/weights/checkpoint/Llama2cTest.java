package obsprop.weights.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import obsprop.tensor.Tensor;
import obsprop.weights.Program;
import obsprop.weights.SeededRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class Llama2cTest {
    private static final int D = 24;
    private static final int MLP = 20;
    private static final int LAYERS = 2;
    private static final int HEADS = 3;
    private static final int HEAD = 8;
    private static final int VOCAB = 11;
    private static final int CONTEXT = 5;

    @TempDir
    private Path dir;

    /** A legacy checkpoint with one key/value head and an untied head; {@code part} numbers its sections. */
    private float[][] parts() {
        int[] sizes = {
            VOCAB * D, LAYERS * D, LAYERS * D * D, LAYERS * HEAD * D, LAYERS * HEAD * D, LAYERS * D * D, LAYERS * D,
            LAYERS * MLP * D, LAYERS * D * MLP, LAYERS * MLP * D, D, CONTEXT * HEAD / 2, CONTEXT * HEAD / 2, VOCAB * D
        };
        SeededRandom random = new SeededRandom(7);
        float[][] parts = new float[sizes.length][];
        for (int p = 0; p < sizes.length; p++) {
            parts[p] = new float[sizes[p]];
            for (int i = 0; i < sizes[p]; i++) {
                parts[p][i] = (float) random.nextBell();
            }
        }
        return parts;
    }

    private Path write(float[][] parts, int extra) throws IOException {
        int floats = 0;
        for (float[] part : parts) {
            floats += part.length;
        }
        ByteBuffer bytes = ByteBuffer.allocate(28 + 4 * floats).order(ByteOrder.LITTLE_ENDIAN);
        for (int n : new int[] {D, MLP, LAYERS, HEADS, 1, -VOCAB, CONTEXT}) {
            bytes.putInt(n);
        }
        for (float[] part : parts) {
            for (float value : part) {
                bytes.putFloat(value);
            }
        }
        return Files.write(dir.resolve("model.bin"), java.util.Arrays.copyOf(bytes.array(), bytes.capacity() + extra));
    }

    @Test
    void becomesACompleteModelWithTheRightParts() throws IOException {
        float[][] parts = parts();
        Program.Run run = Program.run("convert", write(parts, 0), "--out", dir.resolve("hf"));
        assertEquals(0, run.exitCode(), run.err());
        assertEquals(0, Program.run("verify", dir.resolve("hf")).exitCode());
        try (Arena arena = Arena.ofShared()) {
            Map<String, Tensor> t = ModelFiles.tensors(ModelFiles.open(dir.resolve("hf"), arena));
            assertArrayEquals(parts[13], t.get("lm_head.weight").toFloats());
            assertArrayEquals(
                    java.util.Arrays.copyOfRange(parts[9], MLP * D, 2 * MLP * D),
                    t.get("model.layers.1.mlp.up_proj.weight").toFloats());
            scoresAreTheSame(parts, t);
        }
    }

    /** q.k of two positions: neighbours turned on the old rows, pairs half a head apart turned on the new ones. */
    private static void scoresAreTheSame(float[][] parts, Map<String, Tensor> t) {
        SeededRandom random = new SeededRandom(8);
        double[] x = new double[D];
        for (int i = 0; i < D; i++) {
            x[i] = random.nextBell();
        }
        double worst = 0;
        for (int l = 0; l < LAYERS; l++) {
            for (int h = 0; h < HEADS; h++) {
                double[] q = new double[HEAD];
                double[] k = new double[HEAD];
                double[] newQ = new double[HEAD];
                double[] newK = new double[HEAD];
                for (int r = 0; r < HEAD; r++) {
                    for (int i = 0; i < D; i++) {
                        q[r] += parts[2][(l * D + h * HEAD + r) * D + i] * x[i];
                        k[r] += parts[3][(l * HEAD + r) * D + i] * x[i];
                        newQ[r] += t.get("model.layers." + l + ".self_attn.q_proj.weight").get(h * HEAD + r, i) * x[i];
                        newK[r] += t.get("model.layers." + l + ".self_attn.k_proj.weight").get(r, i) * x[i];
                    }
                }
                double before = dot(turned(q, 4, 1, 2), turned(k, 1, 1, 2));
                double after = dot(turned(newQ, 4, HEAD / 2, 1), turned(newK, 1, HEAD / 2, 1));
                worst = Math.max(worst, Math.abs(before - after));
            }
        }
        System.out.println("largest difference of a score: " + worst);
        assertTrue(worst < 1e-10);
    }

    /** Pair i is (i * step, i * step + distance). */
    private static double[] turned(double[] x, int position, int distance, int step) {
        double[] y = x.clone();
        for (int i = 0; i < HEAD / 2; i++) {
            double angle = position * Math.pow(10000, -2.0 * i / HEAD);
            int a = i * step;
            int b = a + distance;
            y[a] = x[a] * Math.cos(angle) - x[b] * Math.sin(angle);
            y[b] = x[a] * Math.sin(angle) + x[b] * Math.cos(angle);
        }
        return y;
    }

    private static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }

    @Test
    void wrongLengthIsRefused() throws IOException {
        for (int extra : new int[] {-4, 4, -2000}) {
            Program.Run run = Program.run("convert", write(parts(), extra), "--out", dir.resolve("out"));
            assertEquals(2, run.exitCode());
            assertEquals(1, run.err().lines().count(), run.err());
            assertTrue(Files.notExists(dir.resolve("out")));
        }
    }
}
