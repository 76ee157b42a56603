package obsprop.cli.commands;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import obsprop.analysis.patching.MeanHeadEffects;
import obsprop.analysis.patching.OracleAgreement;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.cli.tokens.ResolvedObservable;

/** What {@code patch --heads} found over many prompt pairs. */
record PatchMeanReport(Map<String, String> metadata, ResolvedObservable observable, MeanHeadEffects found,
        Optional<OracleAgreement> oracle) implements Report {
    @Override
    public JsonNode json() {
        ObjectNode document = Json.object().put("model", metadata.get("model")).put("mode", metadata.get("rule"))
                .put("final_norm", metadata.get("final_norm")).put("pairs", found.pairs());
        document.set("observable", ObservableView.json(observable));
        document.put("clean", found.clean()).put("corrupted", found.corrupted());
        document.set("effect", rows(found.effect()));
        document.set("standard_error", rows(found.standardError()));
        oracle.ifPresent(agreement -> document.set("oracle", PatchReport.json(agreement)));
        return document;
    }

    /** A table as JSON; a number that does not exist is null. */
    static ArrayNode rows(double[][] table) {
        ArrayNode rows = Json.object().arrayNode();
        for (double[] values : table) {
            ArrayNode row = rows.addArray();
            for (double value : values) {
                if (Double.isFinite(value)) {
                    row.add(value);
                } else {
                    row.addNull();
                }
            }
        }
        return rows;
    }

    @Override
    public String text() {
        return ObservableView.text(List.of(observable)) + "\nmeans over " + found.pairs() + " prompt pairs: clean "
                + Numbers.fixed(found.clean()) + ", corrupted " + Numbers.fixed(found.corrupted())
                + "\n\neffect of patching each head, a row a layer (" + metadata.get("rule") + ", final norm "
                + metadata.get("final_norm") + ")\n" + new HeadGrid(found.effect()).text()
                + "\nstandard errors of these means\n" + new HeadGrid(found.standardError()).text();
    }
}
