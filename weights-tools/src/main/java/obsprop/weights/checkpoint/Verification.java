package obsprop.weights.checkpoint;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import obsprop.model.io.Config;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;

/** Compares the tensors of a model directory with what its configuration implies. */
public final class Verification {
    /** Buffers that old files hold beside the weights. */
    private static final Pattern BUFFERS = Pattern.compile(
            ".*(attn|attention|self_attn)\\.(bias|masked_bias)|.*\\.(inv_freq|position_ids)");

    private Verification() {}

    /** What is wrong, one line a finding; empty if nothing is. */
    public static List<String> problems(Config config, List<SafetensorsFile> files) {
        String prefix = FamilyLayout.prefix(config);
        Map<String, Tensor> found = new LinkedHashMap<>(ModelFiles.tensors(files));
        boolean bare = found.keySet().stream().noneMatch(name -> name.startsWith(prefix));
        List<String> problems = new ArrayList<>();
        for (TensorSpec spec : FamilyLayout.of(config)) {
            String name = bare ? Conversion.Prefix.REMOVE.rename(spec.name(), prefix) : spec.name();
            Tensor tensor = found.remove(name);
            int[] shape = spec.shape().stream().mapToInt(Integer::intValue).toArray();
            if (tensor == null) {
                problems.add(name + ": missing, config.json implies one of shape " + spec.shape());
            } else if (!Arrays.equals(tensor.shape(), shape)) {
                problems.add(name + ": has shape " + Arrays.toString(tensor.shape()) + ", config.json implies "
                        + spec.shape());
            } else if (!tensor.dtype().isReal()) {
                problems.add(name + ": has type " + tensor.dtype() + ", expected F32, F16, BF16 or F64");
            }
        }
        boolean tied = config.booleanOr("tie_word_embeddings", true);
        found.keySet().stream()
                .filter(name -> !BUFFERS.matcher(name).matches() && !(tied && name.equals("lm_head.weight")))
                .forEach(name -> problems.add(name + ": not part of a model of this family"));
        for (SafetensorsFile file : files) {
            for (Inspection tensor : Inspection.of(file)) {
                if (tensor.nans() + tensor.infinities() > 0) {
                    problems.add(tensor.name() + ": holds " + tensor.nans() + " NaN and " + tensor.infinities()
                            + " infinite values");
                }
            }
        }
        return problems;
    }
}
