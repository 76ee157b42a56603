package obsprop.propagation;

import java.util.ArrayList;
import java.util.List;
import obsprop.kernel.AttentionSpec;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;

/** Whether a path exists in a model, and on a prompt; if not, one line says why. */
final class PathCheck {
    private final Path path;
    private final Transformer model;

    PathCheck(Path path, Transformer model) {
        this.path = path;
        this.model = model;
    }

    /** Layers, heads and their order. */
    void requireOrder() {
        if (!model.hasDirectEffects()) {
            throw new IllegalArgumentException("path \"" + path + "\": this model (" + model.config().family()
                    + ", post-norm) normalises the residual stream itself, so that no component writes to it directly:"
                    + " paths are not defined here");
        }
        List<Step> steps = path.steps();
        for (int i = 0; i < steps.size(); i++) {
            requireInModel(i);
            if (i > 0) {
                requireFeeds(i);
            }
        }
    }

    private void requireInModel(int i) {
        ModelConfig c = model.config();
        switch (path.steps().get(i)) {
            case Step.Heads s -> {
                requireLayer(i, s.layer());
                for (int head : s.heads()) {
                    if (head < 0 || head >= c.nHeads()) {
                        throw refuse(i, "there is no head " + head + ": heads are 0.." + (c.nHeads() - 1));
                    }
                }
            }
            case Step.Mlp s -> requireLayer(i, s.layer());
            case Step.Embedding s -> {
                if (i < path.steps().size() - 1) {
                    throw refuse(i, "the embedding reads nothing: it must be the last step");
                }
            }
        }
    }

    private void requireLayer(int i, int layer) {
        int n = model.config().nLayers();
        if (layer < 0 || layer >= n) {
            throw refuse(i, "there is no layer " + layer + ": layers are 0.." + (n - 1));
        }
    }

    /** Step i must write before the step that it feeds reads. */
    private void requireFeeds(int i) {
        Step reader = path.steps().get(i - 1);
        Step writer = path.steps().get(i);
        if (depth(writer) < depth(reader)) {
            return;
        }
        boolean parallel = depth(writer) == depth(reader) && writer.getClass() != reader.getClass();
        throw refuse(i, parallel
                ? "attention and MLP of a layer run in parallel in this model: it cannot feed " + reader
                : "it does not come before " + reader + " in the model and cannot feed it");
    }

    /** Where in the model's order a component stands; equal where neither of two can feed the other. */
    private int depth(Step step) {
        return switch (step) {
            case Step.Heads s -> 2 * s.layer();
            case Step.Mlp s -> 2 * s.layer() + (model.block(s.layer()).hasMiddle() ? 1 : 0);
            case Step.Embedding s -> -1;
        };
    }

    /** The path with tokens counted from 0. */
    Path resolve(int promptLength, int position) {
        requireOrder();
        List<Step> resolved = new ArrayList<>();
        int destination = position;
        for (int i = 0; i < path.steps().size(); i++) {
            Step step = path.steps().get(i);
            int token = step.token() < 0 ? step.token() + promptLength : step.token();
            if (token < 0 || token >= promptLength) {
                throw refuse(i, "the prompt has " + promptLength + " tokens, 0.." + (promptLength - 1));
            }
            requireReaches(i, token, destination);
            resolved.add(step.at(token));
            destination = token;
        }
        return new Path(resolved);
    }

    private void requireReaches(int i, int token, int destination) {
        String reader = i == 0 ? "the observable" : path.steps().get(i - 1).toString();
        if (path.steps().get(i) instanceof Step.Heads s) {
            AttentionSpec spec = model.block(s.layer()).attention().spec();
            if (token > destination) {
                throw refuse(i, "attention is causal: it cannot carry token " + token + " back to token " + destination
                        + ", which " + reader + " reads");
            }
            if (token < spec.firstKey(destination)) {
                throw refuse(i, "layer " + s.layer() + " sees a window of " + spec.window() + " tokens: from token "
                        + destination + " (" + reader + ") none before " + spec.firstKey(destination));
            }
        } else if (token != destination) {
            throw refuse(i, "it writes at the token it reads, " + token + ", but " + reader + " reads token "
                    + destination);
        }
    }

    private IllegalArgumentException refuse(int i, String reason) {
        return new IllegalArgumentException(
                "path \"" + path + "\": step " + (i + 1) + ", " + path.steps().get(i) + ": " + reason);
    }
}
