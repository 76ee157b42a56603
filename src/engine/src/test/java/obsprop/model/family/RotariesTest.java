package obsprop.model.family;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.io.Config;
import obsprop.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Scalings that no fixture has: cosines and sines at position 101, base 500, heads of width 16, as the reference implementation gives them. */
class RotariesTest {
    private static final int WIDTH = 16;
    private static final int POSITION = 101;

    @TempDir
    private Path dir;

    @Test
    void yarn() throws IOException {
        check("{\"rope_type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 32}",
                1.0156630277633667, -1.0951873064041138, -0.3539840877056122, -0.8810200095176697,
                0.4866162836551666, 0.9885291457176208, 1.1063181161880493, 1.1317707300186157,
                0.5146898627281189, -0.31151527166366577, -1.082207202911377, 0.7213048338890076,
                1.0294084548950195, 0.5650549530982971, 0.2693275511264801, 0.12478771060705185);
    }

    @Test
    void yarnWithEverySetting() throws IOException {
        check("{\"rope_type\": \"yarn\", \"factor\": 8.0, \"original_max_position_embeddings\": 64, \"beta_fast\": 4, \"beta_slow\": 2,"
                        + " \"mscale\": 0.7, \"mscale_all_dim\": 1.3, \"truncate\": false}",
                0.8043956756591797, -0.7025049924850464, -0.03761099651455879, 0.3033033311367035,
                0.7618260979652405, 0.8715579509735107, 0.8953635692596436, 0.9004249572753906,
                0.4076296389102936, 0.5654211640357971, -0.9009993672370911, 0.8492475748062134,
                0.4825302064418793, 0.23151923716068268, 0.10741724073886871, 0.04948994144797325);
    }

    /** The original context is then the model's. */
    @Test
    void yarnWithAFactorOfItsOwn() throws IOException {
        check("{\"rope_type\": \"yarn\", \"factor\": 2.0, \"attention_factor\": 1.5}",
                1.3380072116851807, -1.4700136184692383, -1.4279450178146362, 1.484404444694519,
                -0.9520642161369324, 0.7611814141273499, 1.3321512937545776, 1.4639670848846436,
                0.6780387163162231, 0.29842931032180786, -0.45931798219680786, -0.21573896706104279,
                1.1591262817382812, 1.2925180196762085, 0.6894729137420654, 0.3268035054206848);
    }

    @Test
    void dynamicScalingBeginsBeyondTheContext() throws IOException {
        check("{\"type\": \"dynamic\", \"factor\": 2.0}",
                0.8920048475265503, -0.77901691198349, -0.8066996335983276, -0.9220718741416931,
                -0.19428779184818268, -0.4849803149700165, 0.5774462819099426, 0.905066192150116,
                0.45202580094337463, 0.6270028948783875, 0.5909616351127625, -0.38701868057250977,
                -0.9809445738792419, 0.8745250701904297, 0.8164286613464355, 0.4252707362174988);
    }

    private void check(String scaling, double... expected) throws IOException {
        Files.writeString(dir.resolve("config.json"),
                "{\"max_position_embeddings\": 128, \"rope_theta\": 500.0, \"rope_scaling\": " + scaling + "}");
        try (Arena arena = Arena.ofShared()) {
            // The first of each pair is 1, the second 0: what comes out are the cosines, then the sines.
            Tensor x = Tensor.ofFloats(arena, new float[WIDTH], 1, 1, WIDTH);
            for (int i = 0; i < WIDTH / 2; i++) {
                x.set(1, 0, 0, i);
            }
            Rotaries.halfSplit(Config.read(dir), WIDTH, 10_000)
                    .forward(ScalarKernels.float32(), x, new int[] {POSITION}, POSITION + 1);
            for (int i = 0; i < WIDTH; i++) {
                // Angles are rounded to float: 101 radians to 4e-6.
                assertEquals(expected[i], x.get(0, 0, i), 1e-5, "coordinate " + i);
            }
        }
    }
}
