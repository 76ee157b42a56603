package obsprop.cli.commands;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.output.Table.Column;
import obsprop.cli.output.Table;
import obsprop.cli.session.MemoryPlan;
import obsprop.cuda.CudaPrecision;
import obsprop.model.ModelConfig;

/** What {@code info} found; sizes in bytes. */
record InfoReport(
        String model, ModelConfig config, String tokenizer, long weights, MemoryPlan memory, PlannedRun plan, boolean directEffects,
        String backend, String reason, OptionalLong deviceFree, Map<CudaPrecision, Double> precisionErrors) implements Report {
    @Override
    public JsonNode json() {
        ObjectNode document = Json.object().put("model", model).put("family", config.family())
                .put("layers", config.nLayers()).put("heads", config.nHeads()).put("kv_heads", config.nKvHeads())
                .put("d_model", config.dModel()).put("d_head", config.dHead()).put("d_mlp", config.dMlp())
                .put("d_vocab", config.dVocab()).put("context", config.maxPositions())
                .put("tokenizer", tokenizer).put("direct_effects", directEffects);
        document.putObject("memory").put("weights", weights)
                .put("per_token", memory.everything()).put("per_token_residuals", memory.residuals())
                .put("per_token_and_observable", memory.cotangents()).put("tokens", plan.tokens())
                .put("prompts", plan.prompts()).put("observables", plan.observables())
                .put("observables_at_once", plan.atOnce()).put("run", plan.bytes());
        deviceFree.ifPresent(free -> ((ObjectNode) document.get("memory")).put("device_free", free));
        ObjectNode computing = document.putObject("backend").put("name", backend).put("reason", reason);
        if (!precisionErrors.isEmpty()) {
            ObjectNode errors = computing.putObject("logit_errors");
            precisionErrors.forEach((precision, error) -> errors.put(word(precision), error));
        }
        return document;
    }

    @Override
    public String text() {
        Table table = new Table(Column.text("model"), Column.text(model))
                .row("family", config.family())
                .row("size", config.nLayers() + " layers, " + config.nHeads() + " heads of " + config.dHead()
                        + (config.nKvHeads() == config.nHeads() ? "" : " (" + config.nKvHeads() + " for keys and values)")
                        + ", d_model " + config.dModel() + ", d_mlp " + config.dMlp())
                .row("vocabulary", config.dVocab() + " tokens, tokenizer " + tokenizer)
                .row("context", config.maxPositions() + " tokens")
                .row("weights", Numbers.bytes(weights) + (deviceFree.isPresent() ? "" : ", mapped, read as needed"))
                .row("a pass", Numbers.bytes(memory.everything()) + " a token with everything kept, "
                        + Numbers.bytes(memory.residuals()) + " with the residual stream kept and the rest computed again")
                .row("a run", Numbers.bytes(plan.bytes()) + " beside the weights for " + plan + ": the pass and "
                        + Numbers.bytes(memory.cotangents()) + " a token for each of the " + plan.atOnce() + " going back at once")
                .row("backend", backend)
                .row("because", reason);
        deviceFree.ifPresent(free -> table.row("room", Numbers.bytes(free) + " free on the device beside the weights: that run "
                + (plan.bytes() <= free ? "fits" : "does not fit")));
        precisionErrors.forEach((precision, error) -> table.row(word(precision), String.format(Locale.ROOT,
                "logits off by %.1e of the largest, measured on this model against fp32", error)));
        if (!directEffects) {
            table.row("note", "norms stand on the residual stream: attribution, head patching and paths are not defined");
        }
        return table.toString();
    }

    private static String word(CudaPrecision precision) {
        return precision.name().toLowerCase(Locale.ROOT);
    }
}
