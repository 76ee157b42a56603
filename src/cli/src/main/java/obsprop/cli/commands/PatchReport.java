package obsprop.cli.commands;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import obsprop.analysis.patching.OracleAgreement;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.propagation.Path;

/**
 * What {@code patch} found.
 *
 * @param metadata model, observable, rule and final norm
 * @param path the path that was patched; every head by itself where there is none
 * @param effect [L][H], or [1][1] for a path
 */
record PatchReport(Map<String, String> metadata, ResolvedObservable observable, Optional<Path> path,
        double clean, double corrupted, double[][] effect, Optional<OracleAgreement> oracle) implements Report {
    @Override
    public JsonNode json() {
        ObjectNode document = Json.object().put("model", metadata.get("model")).put("mode", metadata.get("rule"))
                .put("final_norm", metadata.get("final_norm"));
        document.set("observable", ObservableView.json(observable));
        document.put("clean", clean).put("corrupted", corrupted);
        path.ifPresent(p -> document.put("path", p.toString()));
        if (path.isPresent()) {
            document.put("effect", effect[0][0]);
        } else {
            document.set("effect", PatchMeanReport.rows(effect));
        }
        oracle.ifPresent(agreement -> document.set("oracle", json(agreement)));
        return document;
    }

    /** How the check of a sample went. */
    static ObjectNode json(OracleAgreement agreement) {
        return Json.object().put("samples", agreement.samples()).put("largest_difference", agreement.largestDifference());
    }

    @Override
    public String text() {
        StringBuilder text = new StringBuilder(ObservableView.text(List.of(observable))).append("\n")
                .append("clean ").append(Numbers.fixed(clean)).append(", corrupted ").append(Numbers.fixed(corrupted))
                .append("\n");
        path.ifPresentOrElse(
                p -> text.append("effect of patching ").append(p).append(": ").append(Numbers.fixed(effect[0][0])).append("\n"),
                () -> text.append("\neffect of patching each head, a row a layer (").append(metadata.get("rule"))
                        .append(", final norm ").append(metadata.get("final_norm")).append(")\n")
                        .append(new HeadGrid(effect).text()));
        return text.toString();
    }
}
